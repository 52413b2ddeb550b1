"""Gradient descent on Gaussian input as one writes it in JAX: relu, fixed outputs of 1, float64, on JAX's device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

jax.config.update("jax_enable_x64", True)


def jax_force(hidden: Any, teachers: Any) -> Any:
    """∂L/∂w_i = ½ r + (1/2π) Σ_q c_q (|u_q| sin θ_iq ŵ_i − θ_iq u_q), (neuron, feature), by matrix products."""
    vectors = jnp.concatenate([hidden, teachers])
    signs = jnp.concatenate([jnp.ones(len(hidden)), -jnp.ones(len(teachers))])
    norms = jnp.linalg.norm(vectors, axis=1)
    units = vectors / norms[:, None]
    students = units[: len(hidden)]
    theta = jnp.arccos(jnp.clip(students @ units.T, -1.0, 1.0))
    along = jnp.sin(theta) @ (signs * norms)
    return 0.5 * (signs @ vectors) + (along[:, None] * students - theta @ (signs[:, None] * vectors)) / (
        2 * jnp.pi
    )


def jax_loss(hidden: Any, teachers: Any) -> Any:
    """L = ¼|r|² + (1/2π) Σ_{p<q} c_p c_q |u_p||u_q| (sin θ − θ cos θ), θ = 2 atan2(|û_p − û_q|, |û_p + û_q|)."""
    vectors = jnp.concatenate([hidden, teachers])
    signs = jnp.concatenate([jnp.ones(len(hidden)), -jnp.ones(len(teachers))])
    norms = jnp.linalg.norm(vectors, axis=1)
    units = vectors / norms[:, None]
    p, q = np.triu_indices(len(vectors), 1)
    apart, together = (jnp.linalg.norm(units[p] + sign * units[q], axis=1) for sign in (-1.0, 1.0))
    theta = 2.0 * jnp.arctan2(apart, together)
    masses = signs * norms
    curved = jnp.sum(masses[p] * masses[q] * (jnp.sin(theta) - theta * jnp.cos(theta)))
    return 0.25 * jnp.sum((signs @ vectors) ** 2) + curved / (2.0 * jnp.pi)


def jax_descent(
    force: Callable[[Any, Any], Any], step_size: float, steps: int, seeds: int
) -> Callable[[Any, Any], Any]:
    """`steps` of descent, compiled: (seed, neuron, feature) -> the same."""

    def walk(hidden: Any, teachers: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            return state - step_size * force(state, teachers), None

        return lax.scan(step, hidden, None, length=steps)[0]

    if seeds > 1:
        return jax.jit(jax.vmap(walk, in_axes=(0, None)))

    alone = jax.jit(walk)
    return lambda hidden, teachers: alone(hidden[0], teachers)[None]
