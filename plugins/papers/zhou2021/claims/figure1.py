"""Figure 1 of Zhou, Ge and Jin 2021: directions in which students end together."""

from __future__ import annotations

from twolayer import Result, Run, above
from twolayer.analysis.intervals import difference_interval
from twolayer.core.wording import counted

from .. import measured
from ..theory import paper


@paper.claim(
    "Figure 1: students end in shared directions that are no teacher's: above 1.5 more of them on a sample than on "
    "the population",
    "seen in Figure 1 (5, 4 and 6 students within 0.02° of another); the sample's size and the limit are ours",
    "derived",
    on="figure1",
    by="initialization",
    select={"initialization": ["ntk", "mean_field"]},
    figures=["figure1", "figure1_film"],
    late="0.02°, 1° and 1.5 were chosen after students within 0.02° had been seen in the print and in our runs",
)
def shared_angles(run: Run) -> Result:
    counts, ranges = [], []
    for part in run.by("problem", problem=["sample", "population"]):
        last = part.hidden.isel(time=-1).transpose("seed", "neuron", "feature").values
        count, alone = measured.shared_angles(last, measured.plane_teachers(part))
        counts.append(count)
        ranges.append(
            f"{count.min()} to {count.max()} on the {part.problem}, {100 * alone.mean():.0f} % of the mass alone"
        )
    more, low, high = difference_interval(*counts)
    seeds = counted(run.seeds, "seed")
    detail = f"students within 0.02° of another, over 1° from teachers, {seeds}: {'; '.join(ranges)}"
    return above(more, 1.5, (low, high), detail)
