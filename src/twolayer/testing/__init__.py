"""Conformance of plugins: what every plugin of a kind must do, as tests for its author, in one line.

    from twolayer.testing import conformance

    test_heavy_ball = conformance("dynamics", {"name": "heavy_ball", "step_size": 0.05, "momentum": 0.5})

is a pytest test with a case for each check. `checks(...)` gives the same as functions, for other ways to test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twolayer.errors import ConfigError, unknown_name
from twolayer.testing import data, dynamics, functions, measures
from twolayer.testing.subject import Subject

__all__ = ["checks", "conformance"]

KINDS: Mapping[str, Mapping[str, Callable[[Subject], None]]] = {
    "activations": functions.ACTIVATION,
    "losses": functions.LOSS,
    "problems": data.PROBLEM,
    "initializations": data.INITIALIZATION,
    "dynamics": dynamics.DYNAMICS,
    "metrics": measures.METRIC,
    "backends": measures.BACKEND,
}


def checks(
    kind: str,
    section: Mapping[str, Any] | str,
    *,
    plugin_paths: Sequence[str] = (),
    experiment: Mapping[str, Any] | None = None,
    order: float | None = None,
    conserved: Mapping[str, float] | None = None,
) -> dict[str, Callable[[], None]]:
    """The checks of a plugin by name: functions without arguments; an AssertionError says what is wrong.

    kind: `activations`, `losses`, `problems`, `initializations`, `dynamics`, `metrics` or `backends`.
    section: the plugin as a config names it, `{"name": …, parameters}` or its name.
    plugin_paths: folders in which it is found, as in a config; installed plugins are found without.
    experiment: what to run it in, as in a config, in place of a small teacher and a small data set.
    order: of convergence in the step size, of a descent. conserved: metrics that its runs conserve, by the relative
    change that is allowed. ConfigError for a kind that is not known.
    """
    if kind not in KINDS:
        raise ConfigError(f"conformance: {unknown_name('kind', kind, KINDS)}")
    described = {"name": section} if isinstance(section, str) else dict(section)
    subject = Subject(kind, described, tuple(plugin_paths), experiment, order, conserved or {})
    return {name: lambda check=check: check(subject) for name, check in KINDS[kind].items()}  # type: ignore[misc]


def conformance(kind: str, section: Mapping[str, Any] | str, **options: Any) -> Callable[..., None]:
    """The `checks` of a plugin as a pytest test with a case for each; arguments as of `checks`."""
    import pytest

    found = checks(kind, section, **options)

    @pytest.mark.parametrize("check", found)
    def test_conformance(check: str) -> None:
        found[check]()

    return test_conformance
