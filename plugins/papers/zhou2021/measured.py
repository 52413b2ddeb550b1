"""How runs are read for the claims and figures of Zhou, Ge and Jin 2021."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.rates import along_time, first_below, power_slope, within_trust
from twolayer.analysis.teachers import teachers_of
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run


def teacher_weights(run: Run) -> Any:
    """w_i*, (teacher, feature), of length |w_i*| in f* = Σ |w_i*·x|."""
    directions, masses = teachers_of(run)
    return directions * masses[:, None]


def plane_teachers(run: Run) -> Any:
    """The same in the plane, (teacher, 2); DataError elsewhere."""
    if run.config.problem.dimension != 2:
        raise DataError(f"the experiment '{run.experiment}' is not in the plane: problem.dimension is not 2")
    return teacher_weights(run)


def lengths(run: Run) -> Any:
    """|w_i*|, (teacher,)."""
    return np.linalg.norm(teacher_weights(run), axis=-1)


def scale_of_teachers(run: Run) -> float:
    """r w_max, in which the paper measures gradients and times."""
    length = lengths(run)
    return float(len(length) * length.max())


def scaled_gradient(run: Run) -> xr.DataArray:
    """√(r w_max)|∇L|/L, which Theorem 4 bounds below."""
    return math.sqrt(scale_of_teachers(run)) * run.gradient_norm / loss_of(run)


def ceiling(run: Run) -> float:
    """The loss up to which it counts as small: `theory.ceiling` for the shortest teacher."""
    return float(lengths(run).min() ** 2 * theory.ceiling(theory.smallest_angle(teacher_weights(run))))


def starts(run: Run) -> str:
    """How the students of a run start, by its config: all near teachers, with background neurons, or one orthogonal.

    Of other starts, their name.
    """
    section = run.config.initialization
    if "background_neurons" not in section:
        return str(section.name).replace("_", " ")
    if section.background_orthogonal and section.background_neurons:
        return "one at right angles"
    return "background" if section.background_neurons else "all near"


def overparameterized(run: Run) -> bool:
    """Whether m > r."""
    return bool(run.config.network.neurons > len(teacher_weights(run)))


def spelled(run: Run) -> str:
    """A run in words, by its config."""
    return f"$m$ = {run.config.network.neurons}, {starts(run)}"


def loss_of(run: Run) -> xr.DataArray:
    """L, NaN where it is not trusted."""
    return within_trust(run.dataset)


FLOOR = 1e-20
"""Of the loss. With one student for each teacher L ends at 1e-32, where the gradient is rounding."""


def bisected(run: Any) -> float:
    """Δ of two unit teachers whose bisector is the best single line; DataError of others."""
    sizes = lengths(run)
    if len(sizes) != 2 or np.abs(sizes - 1.0).max() > 1e-12:
        raise DataError(
            f"is about two teachers of norm 1; '{run.experiment}' has {counted(len(sizes), 'other')}"
        )
    delta = theory.smallest_angle(teacher_weights(run))
    if delta > theory.WIDEST_BISECTOR:
        raise DataError(
            f"is about Δ up to {math.degrees(theory.WIDEST_BISECTOR):.1f}°; students that start as one leave the "
            f"bisector of teachers at {math.degrees(delta):.1f}°"
        )
    return delta


def still_falls(run: Run) -> bool:
    """Whether the loss of some seed falls by more than 1e-9 of it in the last tenth of the time."""
    last = run.loss.isel(time=-1)
    before = run.loss.sel(time=0.9 * float(run.time[-1]), method="ffill")
    return bool((before - last > 1e-9 * last).any())


def unlike_starts(runs: Mapping[int, Run]) -> str:
    """The first setting in which starts of several m differ, other than m itself, or "". Background neurons are alike
    where their whole mass is, to 1 %: their scale squared times their number."""
    first: dict[str, Any] = {}
    for students, run in runs.items():
        start = run.config.initialization
        settings = {
            key: getattr(start, key) for key in ("name", "angle", "shares", "mirrored") if key in start
        }
        near = len(lengths(run)) * len(settings.get("shares") or ())
        if near and "background_neurons" in start and not start.background_orthogonal:
            settings["mass of background neurons"] = start.background_neurons**2 * (students - near)
        for key, value in settings.items():
            known = first.setdefault(key, value)
            numbers = isinstance(known, float) and isinstance(value, float)
            if not (math.isclose(known, value, rel_tol=0.01) if numbers else known == value):
                before, here = (f"{part:.4g}" if isinstance(part, float) else part for part in (known, value))
                return f"{key} is {before} at m = {next(iter(runs))} and {here} at m = {students}"
    return ""


def small_loss(run: Run) -> xr.DataArray:
    """L where it is small for the run's teachers, but large enough for rounding not to show in ratios; else NaN."""
    loss = loss_of(run)
    return loss.where((loss <= ceiling(run)) & (loss > FLOOR))


def exponent(
    run: Run, measure: xr.DataArray, high: float = 1e-6, low: float = FLOOR, decades: float = 2.5
) -> xr.DataArray:
    """p of measure ~ L^p while low < L < high, by least squares of the logarithms, (seed,).

    NaN where L goes through fewer than `decades` decades of that range.
    """
    import xarray as xr

    loss = loss_of(run)
    inside = loss.where((loss > low) & (loss < high))
    enough = np.log10(inside.max("time") / inside.min("time")) >= decades
    return xr.apply_ufunc(
        lambda loss, value: power_slope(loss, value, low, high),
        loss.where(enough),
        measure.where(measure > 0),
        input_core_dims=[["time"], ["time"]],
        vectorize=True,
    )


def limit(run: Run, values: xr.DataArray, relative: float) -> xr.DataArray:
    """Values (seed, time) at the last time, as what they tend to; NaN where the last decade of time still moves them.

    A correction ∝ 1/t that is `relative` at the end was 10 times that a decade before: it moves them by 9 times.
    """
    last, early = values.isel(time=-1), float(run.time[-1]) / 10
    known = run.time.values > 0
    if early < run.time.values[known].min():
        return last.where(False)
    order = values.transpose("seed", "time").values[:, known]
    before = [np.interp(math.log(early), np.log(run.time.values[known]), row) for row in order]
    return last.where(np.abs(np.array(before) / last - 1) <= 9 * relative)


def nearest_index(values: Any, wanted: float) -> int:
    """The index of the value that is nearest to the wanted one."""
    return int(np.nanargmin(np.abs(np.asarray(values) - wanted)))


def last_decade(run: Run) -> xr.DataArray:
    """The slope of log L against log t over the last decade of time, (seed,)."""
    stop = float(run.time[-1])
    return along_time(power_slope, loss_of(run), 0.1 * stop, stop)


def time_to(run: Run, level: float) -> xr.DataArray:
    """The first time at which L is level, between saved ones by power laws, (seed,); NaN where it is not reached."""
    return along_time(
        lambda time, loss: first_below(time, np.log(loss), math.log(level), "log"), loss_of(run)
    )


def at_times(run: Run, time: xr.DataArray) -> xr.DataArray:
    """L at other times, by power laws between saved ones, (seed, time); NaN outside of the run."""
    import xarray as xr

    later = run.isel(time=slice(1, None))  # log 0 is no number
    known, wanted = np.log(later.time), np.log(time.where(time > 0).rename(time="wanted"))
    logs = xr.apply_ufunc(
        lambda at, t, loss: np.interp(at, t, loss, math.nan, math.nan),
        wanted, known, np.log(loss_of(later)),
        input_core_dims=[["wanted"], ["time"], ["time"]], output_core_dims=[["wanted"]], vectorize=True,
    )  # fmt: skip
    return np.exp(logs).rename(wanted="time").assign_coords(time=time.values)


LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)
"""ε of the times to a loss."""


def by_start(run: Run) -> dict[str, dict[int, Run]]:
    """The runs of a sweep of m by how their students start, and by m; starts with more than one m."""
    found: dict[str, dict[int, Run]] = {}
    for part in run.by("initialization"):
        found.setdefault(starts(part), {})[part.config.network.neurons] = part
    return {start: runs for start, runs in found.items() if len(runs) > 1}


def drawn_dimension(run: Run) -> int:
    """The dimension that the directions of Appendix E's start are drawn in."""
    subspace = run.config.initialization.subspace
    return int(run.config.problem.dimension if subspace is None else subspace)


def lacks_teachers(run: Run) -> bool:
    """Whether the start's directions lie in a subspace of fewer dimensions than teachers span: no m fits them then."""
    vectors, _ = teachers_of(run)
    return drawn_dimension(run) < int(np.linalg.matrix_rank(vectors))


def fits(run: Run) -> tuple[Any, Any]:
    """m, (run,), and the loss at the start, (run, seed), of the runs of a sweep of m."""
    parts = list(run.by("neurons"))
    return np.array([part.neurons for part in parts]), np.array([part.loss.isel(time=0) for part in parts])


def pair_constant(run: Run) -> xr.DataArray:
    """lim L t³ = Σ_i π²/(48 p q) over teachers with two students, p + q = 1 at the end of the run, (seed,)."""
    last = run.isel(time=-1)
    total = 0.0 * last.mass.isel(neuron=0)
    for teacher in range(len(teacher_weights(run))):
        near = last.closest_teacher == teacher
        product = last.mass.where(near, 1.0).prod("neuron")
        total = total + (np.pi**2 / 48 / product).where(near.sum("neuron") == 2)
    return total


def half_mass_angle(run: Run) -> xr.DataArray:
    """δ_i of Lemma 9: within it the students closest to a teacher carry Σ|w_j|² ≥ ½|w_i*|, (seed, time, teacher).

    Infinite where all of them carry less.
    """
    order = ("seed", "time", "neuron", "teacher")
    angle = run.teacher_angles.transpose(*order)
    angle = angle.where(angle == angle.min("teacher"), np.inf)
    mass = run.mass.where(np.isfinite(angle), 0.0).transpose(*order)
    order_of_angles = np.argsort(angle.values, axis=2)
    carried = np.cumsum(np.take_along_axis(mass.values, order_of_angles, 2), axis=2)
    # half of a mass that is shared evenly by two is half but for rounding
    enough = carried >= 0.5 * (1 - 1e-12) * lengths(run)
    reached = np.where(enough, np.take_along_axis(angle.values, order_of_angles, 2), np.inf).min(2)
    return angle.isel(neuron=0, drop=True).copy(data=reached)


def shared_angles(hidden: Any, axes: Any) -> tuple[Any, Any]:
    """How many students are within 0.02° of another one's line, but more than 1° from every teacher's, and the share
    of the mass that is more than 1° from every teacher, (…,). Students of less than 1e-3 of mass do not count.

    At random 20 lines have 0.08 students within 0.02° of another.
    """
    mass = (hidden**2).sum(-1)
    far = (mass > 1e-3) & (theory.separation_angles(hidden, axes).min(-1) > math.radians(1.0))
    left, right = hidden[..., :, None, :], hidden[..., None, :, :]
    across = np.abs(left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0])
    close = np.arctan2(across, np.abs((left * right).sum(-1))) < math.radians(0.02)
    close &= ~np.eye(hidden.shape[-2], dtype=bool) & far[..., None, :]
    return (far & close.any(-1)).sum(-1), np.where(far, mass, 0.0).sum(-1) / mass.sum(-1)


def most_isolated(hidden: Any, axes: Any) -> tuple[int, float]:
    """The teacher that is farthest from all students and other teachers, and that angle."""
    others = theory.separation_angles(axes, axes) + np.pi * np.eye(len(axes))
    free = np.minimum(theory.separation_angles(hidden, axes).min(0), others.min(0))
    return int(free.argmax()), float(free.max())


def average_neuron(run: Run) -> xr.DataArray:
    """max_i |v_i|."""
    return run.average_neuron_residual.max("teacher")


def second_part(run: Run) -> xr.DataArray:
    """|R₂|²."""
    return run.r2_norm**2


def square_angle(run: Run) -> xr.DataArray:
    """Σ|w|²δ²."""
    return run.mass_weighted_square_angle


def shares_allowed(states: Sequence[Run]) -> list[tuple[str, Callable[[Run], xr.DataArray]]]:
    """For each lemma its title, and what is measured over what it allows, (seed, time), of a run.

    states: random ones. Lemmas that name no constant allow as many times their power of L as these reach
    with L ≥ 1e-5; NaN where none reaches more than rounding.
    """

    def bounded(measure: Callable[[Run], xr.DataArray], power: float) -> Callable[[Run], xr.DataArray]:
        largest = np.fmax.reduce([float(reached(run, measure, power).max()) for run in states])
        return lambda run: measure(run) / small_loss(run) ** power / largest

    return [
        (
            "Lemma 8: descent direction",
            lambda run: 1 / run.descent_progress.where(run.descent_progress > 0, 0.0),
        ),
        (r"Lemma 9: half the mass, $L^{1/3}$", half_mass_share),
        (r"Lemma 10: $\max_i|v_i|$, $L^{3/8}$", bounded(average_neuron, 3 / 8)),
        (r"Lemma 12: $|R_2|^2$, $L^{3/4}$", bounded(second_part, 3 / 4)),
        (r"C.6: $\Sigma|w|^2\delta^2$, $L^{1/2}$", bounded(square_angle, 1 / 2)),
    ]


ROUNDING = 1e-12
"""Of |v_i| and the other measures: mirrored states have less, and none but for rounding."""


def reached(run: Run, measure: Callable[[Run], xr.DataArray], power: float) -> xr.DataArray:
    """A measure over L^power where L ≥ 1e-5 and it is more than rounding, else NaN."""
    loss, found = small_loss(run), measure(run)
    return (found / loss**power).where((loss >= 1e-5) & (found > ROUNDING))


def half_mass_unit(run: Run) -> float:
    """r w_max w_min^(−5/3), times which and L^{1/3} Lemma 9 allows."""
    return float(scale_of_teachers(run) / lengths(run).min() ** (5 / 3))


def half_mass_share(run: Run) -> xr.DataArray:
    """δ of Lemma 9 over c r w_max w_min^(−5/3) L^{1/3}, c that of r = w_max = 1 as L → 0, (seed, time)."""
    angle = half_mass_angle(run).clip(max=np.pi).max("teacher")
    allowed = half_mass_unit(run) * theory.half_mass_constant(run.config.problem.dimension)
    return angle / np.cbrt(small_loss(run)) / allowed


def envelope(run: Run, time: Any) -> Any:
    """r w_max/ηt, Theorem 5's bound (constant 1) on the loss at a time."""
    return scale_of_teachers(run) / time


def envelope_at_end(run: Run) -> float:
    """That bound at the end of a single run."""
    return float(envelope(run, run.time[-1]))


def ends(run: Run) -> tuple[Any, Any, Any]:
    """Of all seeds of runs taken together: L at the start, L at the end, and that over `envelope_at_end`, (start,).

    ∞ at the end where descent diverged.
    """
    found = []
    for part in run.by("run"):
        first, last = (part.loss.isel(time=index).values for index in (0, -1))
        last = np.where(np.isfinite(last), last, np.inf)
        found.append((first, last, last / envelope_at_end(part)))
    first, last, share = np.concatenate(found, axis=1)
    return first, last, share
