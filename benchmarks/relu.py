"""The activation of all benchmarks."""

from __future__ import annotations

from twolayer.study.registry import load

RELU = load(kinds=["activations"]).find("activations", "relu").plugin()
