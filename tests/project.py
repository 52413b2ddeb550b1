"""Where the project lies."""

from pathlib import Path

__all__ = ["PROJECT"]

PROJECT = Path(__file__).parents[1]
