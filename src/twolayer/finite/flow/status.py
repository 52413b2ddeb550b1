"""How an advance of the flow ended."""

from __future__ import annotations

__all__ = ["ARRIVED", "AT_ZERO", "PAUSED", "REPEATS", "STATIONARY", "STUCK", "UNSETTLED"]

ARRIVED = 0
STATIONARY = 1
"""Nothing moves any more."""
STUCK = 2
"""Events followed each other without progress."""
UNSETTLED = 3
"""The sliding rule did not end."""
PAUSED = 5
"""So many steps and events are done as were asked for."""
AT_ZERO = 4
"""A neuron has reached w = 0, and where it goes from there is to be decided."""
REPEATS = 64
"""Events of a neuron within the rounding of one time, beyond four per line, that count as an endless loop."""
