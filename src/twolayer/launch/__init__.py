"""How a command starts: by itself, or as a fork of a process that has loaded the libraries (`server`).

Python takes longer to load NumPy, xarray, numba and Matplotlib than most jobs of a workflow take to work. A workflow
on one machine therefore starts one process that loads them once (`python -m twolayer.launch.server`), and each
command asks it for a copy of itself.
"""

ADDRESS = "TWOLAYER_SERVER"
"""The environment variable with the name of the server's socket."""
