"""What every dynamics must do, of heavy_ball."""

from pathlib import Path

from twolayer.testing import conformance

HERE = str(Path(__file__).parent / "my_plugins")

test_heavy_ball = conformance(
    "dynamics", {"name": "heavy_ball", "step_size": 0.02, "momentum": 0.5}, plugin_paths=[HERE], order=1
)
