"""Two-layer networks: the experiments of papers, their figures, and each theorem held against a measurement.

The names below are all that plugins and notebooks need. They are imported when first used: training
loads no plotting, and measuring no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

EXPORTS = {
    "EmpiricalProblem": "model",
    "FiniteData": "model",
    "Network": "model",
    "Weights": "model",
    "Descent": "training",
    "Flow": "training",
    "Initialization": "training",
    "Metric": "measuring",
    "Claim": "claims",
    "claim": "claims",
    "bound": "claims",
    "close": "claims",
    "inconclusive": "claims",
    "figure": "figures",
    "hookimpl": "registry",
    "run": "notebook",
}

if TYPE_CHECKING:
    from twolayer.notebook import run as run
    from twolayer.registry import hookimpl as hookimpl

__all__ = sorted(EXPORTS)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(importlib.import_module(f"twolayer.{EXPORTS[name]}"), name)
    raise AttributeError(f"module 'twolayer' has no attribute '{name}'")
