"""Plugin files that tests write, and a dynamics that several of them use."""

from __future__ import annotations

from pathlib import Path

__all__ = ["TINY_FIGURES", "VELOCITY", "place"]

TINY_FIGURES = """\
from twolayer import Paper

paper = Paper("tiny", "Nobody, never")

@paper.figure("theorem", "The loss falls.", on={"falling": ["loss", "neurons"]})
def losses(canvas, run):
    canvas.subplots().plot(run.time, run.loss[0, 0])
"""
"""A figure of the paper `tiny`, on its experiment `falling`."""

VELOCITY = '''\
"""velocity: v ← βv − η∇L, θ ← θ + v."""
from dataclasses import dataclass
from twolayer import Descent, hookimpl

@dataclass(frozen=True)
class Velocity(Descent):
    beta: float = 0.9

    def steps(self, problem, weights, random):
        velocity = weights - weights
        while True:
            velocity = self.beta * velocity - self.step_size * problem.gradient(weights)
            weights = weights + velocity
            yield weights

@hookimpl
def register_dynamics(register):
    register("velocity", Velocity)
'''


def place(folder: Path, **files: str) -> Path:
    """Plugin files, `kind__name=text`, in a folder of the shape that plugin_paths wants."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
