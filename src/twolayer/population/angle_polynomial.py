"""The polynomial by which kernels take angles: one table for the compiled kernel and the CUDA kernel.

P(c) = asin(√c/2)/(√c/2) = 1 + c/24 + 3c²/640 + … on [0, 2] is interpolated at 20 Chebyshev points, to 4e-18; to 1e-17
with coefficients of float64. Derived.
"""

from __future__ import annotations

__all__ = ["COEFFICIENTS"]

COEFFICIENTS = (
    1.0,
    0.04166666666666741,
    0.004687499999951002,
    0.0006975446441437162,
    0.0001186794526627867,
    2.184796208250567e-05,
    4.2356714665913565e-06,
    8.556623559612829e-07,
    1.6676863197192948e-07,
    5.757062922890993e-08,
    -2.5097202827776743e-08,
    4.314362098958647e-08,
    -3.958485306828863e-08,
    2.982622550322346e-08,
    -1.689714119889943e-08,
    7.234667776669383e-09,
    -2.2513930216782314e-09,
    4.845778183922469e-10,
    -6.459328421721786e-11,
    4.097889497209511e-12,
)
"""Of 1, c, c², …, c¹⁹."""
