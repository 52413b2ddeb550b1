"""Two-layer networks: the experiments of papers, their figures, and each theorem compared with a measurement.

The names below are all that plugins and notebooks need. They are imported when first used: training
loads no plotting, and measuring no compiler.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = (
    False  # as type checkers read it: typing takes as long to load as a command of the server's needs
)

EXPORTS = {
    "EmpiricalProblem": "finite.problem",
    "FiniteData": "finite.problem",
    "PopulationProblem": "population.problem",
    "Paper": "analysis.paper",
    "Run": "analysis.runs",
    "Activation": "core.activation",
    "GaussianKernel": "core.activation",
    "TwoSlope": "core.activation",
    "Loss": "core.loss",
    "SquareLoss": "core.loss",
    "Backend": "core.backend",
    "Dynamics": "core.dynamics",
    "InitializationSpec": "core.initialization",
    "ProblemSpec": "core.problem_spec",
    "Data": "core.data",
    "Problem": "core.problem",
    "Teacher": "population.problem",
    "Network": "core.network",
    "Weights": "core.network",
    "Descent": "core.dynamics",
    "Flow": "core.dynamics",
    "InstantUpdate": "core.dynamics",
    "Metric": "analysis.metric",
    "each_frame": "analysis.metric",
    "metric": "analysis.metric",
    "Claim": "analysis.claims",
    "Result": "analysis.comparison",
    "claim": "analysis.claims",
    "above": "analysis.comparison",
    "as_read": "analysis.comparison",
    "at_least": "analysis.comparison",
    "at_most": "analysis.comparison",
    "close": "analysis.comparison",
    "inconclusive": "analysis.comparison",
    "drawing": "analysis.figures",
    "figure": "notebook",
    "chance_of_reaching": "analysis.reaching",
    "logistic_threshold": "analysis.reaching",
    "fit_rate": "analysis.rates",
    "fit_slope": "analysis.rates",
    "local_slope": "analysis.rates",
    "within_trust": "analysis.rates",
    "activation": "core.registration",
    "backend": "core.registration",
    "dynamics": "core.registration",
    "initialization": "core.registration",
    "loss": "core.registration",
    "problem": "core.registration",
    "hookimpl": "core.registration",
    "run": "notebook",
    "runs_by": "analysis.sweeps",
    "unpadded": "analysis.sweeps",
    "equivalent": "analysis.comparison",
    "bands": "analysis.drawing",
    "draw_sphere": "analysis.sphere",
    "facets": "analysis.drawing",
    "floored": "analysis.drawing",
    "name_axes": "analysis.drawing",
    "reference": "analysis.drawing",
}

if TYPE_CHECKING:
    from typing import Any

    from twolayer.analysis.claims import Claim as Claim
    from twolayer.analysis.claims import claim as claim
    from twolayer.analysis.comparison import Result as Result
    from twolayer.analysis.comparison import above as above
    from twolayer.analysis.comparison import as_read as as_read
    from twolayer.analysis.comparison import at_least as at_least
    from twolayer.analysis.comparison import at_most as at_most
    from twolayer.analysis.comparison import close as close
    from twolayer.analysis.comparison import equivalent as equivalent
    from twolayer.analysis.comparison import inconclusive as inconclusive
    from twolayer.analysis.drawing import bands as bands
    from twolayer.analysis.drawing import facets as facets
    from twolayer.analysis.drawing import floored as floored
    from twolayer.analysis.drawing import name_axes as name_axes
    from twolayer.analysis.drawing import reference as reference
    from twolayer.analysis.figures import drawing as drawing
    from twolayer.analysis.metric import Metric as Metric
    from twolayer.analysis.metric import each_frame as each_frame
    from twolayer.analysis.metric import metric as metric
    from twolayer.analysis.paper import Paper as Paper
    from twolayer.analysis.rates import fit_rate as fit_rate
    from twolayer.analysis.rates import fit_slope as fit_slope
    from twolayer.analysis.rates import local_slope as local_slope
    from twolayer.analysis.rates import within_trust as within_trust
    from twolayer.analysis.reaching import chance_of_reaching as chance_of_reaching
    from twolayer.analysis.reaching import logistic_threshold as logistic_threshold
    from twolayer.analysis.runs import Run as Run
    from twolayer.analysis.sphere import draw_sphere as draw_sphere
    from twolayer.analysis.sweeps import runs_by as runs_by
    from twolayer.analysis.sweeps import unpadded as unpadded
    from twolayer.core.activation import Activation as Activation
    from twolayer.core.activation import GaussianKernel as GaussianKernel
    from twolayer.core.activation import TwoSlope as TwoSlope
    from twolayer.core.backend import Backend as Backend
    from twolayer.core.data import Data as Data
    from twolayer.core.dynamics import Descent as Descent
    from twolayer.core.dynamics import Dynamics as Dynamics
    from twolayer.core.dynamics import Flow as Flow
    from twolayer.core.dynamics import InstantUpdate as InstantUpdate
    from twolayer.core.initialization import InitializationSpec as InitializationSpec
    from twolayer.core.loss import Loss as Loss
    from twolayer.core.loss import SquareLoss as SquareLoss
    from twolayer.core.network import Network as Network
    from twolayer.core.network import Weights as Weights
    from twolayer.core.problem import Problem as Problem
    from twolayer.core.problem_spec import ProblemSpec as ProblemSpec
    from twolayer.core.registration import activation as activation
    from twolayer.core.registration import backend as backend
    from twolayer.core.registration import dynamics as dynamics
    from twolayer.core.registration import hookimpl as hookimpl
    from twolayer.core.registration import initialization as initialization
    from twolayer.core.registration import loss as loss
    from twolayer.core.registration import problem as problem
    from twolayer.finite.problem import EmpiricalProblem as EmpiricalProblem
    from twolayer.finite.problem import FiniteData as FiniteData
    from twolayer.notebook import figure as figure
    from twolayer.notebook import run as run
    from twolayer.population.problem import PopulationProblem as PopulationProblem
    from twolayer.population.problem import Teacher as Teacher

__all__ = sorted(EXPORTS)


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        found = globals()[name] = getattr(importlib.import_module(f"twolayer.{EXPORTS[name]}"), name)
        return found
    raise AttributeError(f"module 'twolayer' has no attribute '{name}'")
