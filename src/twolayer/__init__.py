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
    "PopulationProblem": "population",
    "Problem": "model",
    "Teacher": "population",
    "Network": "model",
    "Weights": "model",
    "Descent": "training",
    "Flow": "training",
    "Jump": "training",
    "Metric": "measuring",
    "each_frame": "measuring",
    "Claim": "claims",
    "Result": "claims",
    "claim": "claims",
    "above": "claims",
    "as_read": "claims",
    "at_least": "claims",
    "at_most": "claims",
    "close": "claims",
    "inconclusive": "claims",
    "figure": "figures",
    "fit_rate": "rates",
    "local_slope": "rates",
    "within_trust": "rates",
    "hookimpl": "registry",
    "run": "notebook",
    "runs_by": "sweeps",
    "unpadded": "sweeps",
    "band": "figures",
    "farthest": "claims",
}

if TYPE_CHECKING:
    from twolayer.claims import Claim as Claim
    from twolayer.claims import Result as Result
    from twolayer.claims import above as above
    from twolayer.claims import as_read as as_read
    from twolayer.claims import at_least as at_least
    from twolayer.claims import at_most as at_most
    from twolayer.claims import claim as claim
    from twolayer.claims import close as close
    from twolayer.claims import farthest as farthest
    from twolayer.claims import inconclusive as inconclusive
    from twolayer.figures import band as band
    from twolayer.figures import figure as figure
    from twolayer.measuring import Metric as Metric
    from twolayer.measuring import each_frame as each_frame
    from twolayer.model import EmpiricalProblem as EmpiricalProblem
    from twolayer.model import FiniteData as FiniteData
    from twolayer.model import Network as Network
    from twolayer.model import Problem as Problem
    from twolayer.model import Weights as Weights
    from twolayer.notebook import run as run
    from twolayer.population import PopulationProblem as PopulationProblem
    from twolayer.population import Teacher as Teacher
    from twolayer.rates import fit_rate as fit_rate
    from twolayer.rates import local_slope as local_slope
    from twolayer.rates import within_trust as within_trust
    from twolayer.registry import hookimpl as hookimpl
    from twolayer.sweeps import runs_by as runs_by
    from twolayer.sweeps import unpadded as unpadded
    from twolayer.training import Descent as Descent
    from twolayer.training import Flow as Flow
    from twolayer.training import Jump as Jump

__all__ = sorted(EXPORTS)


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        return getattr(importlib.import_module(f"twolayer.{EXPORTS[name]}"), name)
    raise AttributeError(f"module 'twolayer' has no attribute '{name}'")
