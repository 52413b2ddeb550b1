"""What every metric and every backend must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twolayer.testing.subject import SEEDS, Subject, agree, nearly

__all__ = ["BACKEND", "METRIC"]


def says_what_it_is(subject: Subject) -> None:
    """It has a long name and units, and each dimension once."""
    metric = subject.plugin
    assert metric.long_name.strip(), "long_name is empty: no axis can be labelled"
    assert metric.units.strip(), "units is empty; `1` for a pure number"
    assert len(set(metric.dimensions)) == len(metric.dimensions), f"dimensions repeat: {metric.dimensions}"


def has_its_dimensions(subject: Subject) -> None:
    """It has the dimensions that it names."""
    for name, _, dataset in subject.runs:
        found = dataset[subject.section["name"]]
        wanted = set(subject.plugin.dimensions)
        assert wanted <= set(found.dims), (
            f"{name}: has dimensions {found.dims}, names {subject.plugin.dimensions}"
        )


def seeds_are_measured_alone(subject: Subject) -> None:
    """A seed's values do not depend on the other seeds; a metric that compares seeds says so (`across_seeds`)."""
    metric = subject.plugin
    if metric.across_seeds or "seed" not in metric.dimensions:
        return
    for name, experiment, dataset in subject.runs:
        for seed in SEEDS:
            alone = subject.run(experiment, seeds=[seed])[subject.section["name"]]
            wanted = dataset[subject.section["name"]].sel(seed=[seed])
            assert nearly(alone, wanted, 1e-9, 1e-12), (
                f"{name}: seed {seed} has other values alone than among others; "
                "a metric that compares seeds is marked across_seeds=True"
            )


def two_measurements_are_the_same(subject: Subject) -> None:
    """Measuring twice gives the same bits."""
    for name, experiment, dataset in subject.runs:
        again = subject.run(experiment)[subject.section["name"]]
        assert dataset[subject.section["name"]].values.tobytes() == again.values.tobytes(), f"{name}: differs"


def descends_like_the_reference(subject: Subject) -> None:
    """Gradient descent, with weight decay and on batches, takes the reference's path."""
    for name, experiment, _ in subject.runs:
        for dynamics in (
            {"name": "gradient_descent", "step_size": 0.05},
            {"name": "regularized_gradient_descent", "step_size": 0.05, "weight_decay": 0.1},
            {"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 2},
        ):
            found = subject.run(experiment, subject.section["name"], dynamics=dynamics)
            wanted = subject.run(experiment, "numpy", dynamics=dynamics)
            agree(found, wanted, 1e-9, f"{name}: {dynamics['name']}")


def keeps_the_precision(subject: Subject) -> None:
    """A run in float32 stays within 1e-4 of one in float64, and is none."""
    for name, experiment, dataset in subject.runs:
        single = subject.run(experiment, subject.section["name"], dtype="float32")
        agree(single, dataset, 1e-4, f"{name}: float32")
        assert np.asarray(single["hidden"]).dtype == np.float32, f"{name}: float32 is not kept"


METRIC: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check
    for check in (
        says_what_it_is,
        has_its_dimensions,
        seeds_are_measured_alone,
        two_measurements_are_the_same,
    )
}
BACKEND: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check for check in (descends_like_the_reference, keeps_the_precision)
}
