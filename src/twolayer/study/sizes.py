"""How large a config may be: what is asked for is counted before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from twolayer.core.initialization import InitializationSpec
from twolayer.core.network import Network
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.wording import counted
from twolayer.errors import ConfigError

__all__ = ["in_words", "refuse_deep", "refuse_frames", "refuse_runs", "refuse_unfolded"]

MOST_RUNS = 100_000
"""Of an experiment. A run is four jobs and a folder."""

MOST_BYTES = 2**38
"""Of the weights that one run saves."""

MOST_VALUES = 5_000_000
"""Of a config file, aliases unfolded."""

DEEPEST = 100
"""Sections within each other."""


def refuse_runs(axes: Mapping[str, Sequence[Any]], where: str) -> None:
    """Refuse a product of swept values with more points than `MOST_RUNS`."""
    count = math.prod(map(len, axes.values()))
    if count > MOST_RUNS:
        product = " × ".join(str(len(values)) for values in axes.values())
        raise ConfigError(f"{where}: {product} = {count} runs; an experiment has at most {MOST_RUNS}")


def refuse_frames(
    frames: int,
    seeds: int,
    network: Network,
    problem: ProblemSpec,
    initialization: InitializationSpec,
    where: str,
) -> None:
    """Refuse times at which a run would save more than `MOST_BYTES` of weights."""
    features = problem.size[1]
    if initialization.in_reduced_coordinates:
        reduced = problem.reduced(network.neurons)
        features = features if reduced is None else reduced.features
    needed = 8 * seeds * frames * network.neurons * ((features or 0) + 1)
    if needed > MOST_BYTES:
        raise ConfigError(
            f"{where}: {counted(frames, 'saved time')} of {counted(seeds, 'seed')} with "
            f"{counted(network.neurons, 'neuron')} in "
            f"{counted(features or 0, 'feature')} "
            f"are {in_words(needed)} of weights; a run saves at most {in_words(MOST_BYTES)}: ask for fewer times, or "
            "for fewer seeds a run"
        )


def in_words(size: int) -> str:
    """`4.8 TB`."""
    power = min(int(math.log10(size)) // 3, 6) if size else 0
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power]}"


def refuse_deep(events: Any) -> None:
    """Refuse YAML whose sections lie more than `DEEPEST` deep, from its events: readers call themselves for each."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                mark: Any = event.start_mark
                raise ConfigError(
                    f"{mark.name}, line {mark.line + 1}: more than {DEEPEST} sections or lists within each other"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def refuse_unfolded(node: Any) -> None:
    """Refuse YAML that has more than `MOST_VALUES` values once aliases are unfolded, or a section within itself."""
    sizes: dict[int, int] = {}
    open_sections: set[int] = set()

    def size_of(node: Any) -> int:
        if id(node) in open_sections:
            raise ConfigError(
                f"{node.start_mark.name}, line {node.start_mark.line + 1}: a section or list that contains itself"
            )
        if isinstance(node, yaml.ScalarNode) or node is None:
            return 1
        if id(node) not in sizes:
            open_sections.add(id(node))
            pairs = isinstance(node, yaml.MappingNode)
            inner = [part for pair in node.value for part in pair] if pairs else node.value
            sizes[id(node)] = 1 + sum(map(size_of, inner))
            open_sections.discard(id(node))
        return sizes[id(node)]

    found = size_of(node)
    if found > MOST_VALUES:
        raise ConfigError(
            f"{node.start_mark.name}: {found} values once aliases are unfolded; a config has at most {MOST_VALUES}"
        )
