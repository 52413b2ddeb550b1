"""The command line: one verb a rule, each reading files, calling its stage and writing files; and verbs for people."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # bits must not depend on the number of cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

from twolayer.cli.command import main

__all__ = ["main"]
