"""How the statements of Zhou and Ge 2024 are known."""

from __future__ import annotations

RECALLED = "place in the paper not known, wording not checked"
DERIVED = "derived for the setting used here"
