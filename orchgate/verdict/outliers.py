"""One run of head against recorded runs of base: is it so far out that pairs should look at it? Never a verdict.

Fewer than ten recorded runs show no spread: then, and against the runs of one tree alone, only a gross excess over the
slowest of them is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.model import Verdict
from orchgate.verdict import exact
from orchgate.verdict.gross import FACTOR
from orchgate.verdict.stored import MIN_RUNS, suspicious
from orchgate.verdict.values import MIB, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.verdict.values import Policy

_SLACK = {Kind.TIME: 0.1, Kind.MEMORY: 8.0 * MIB}  # seconds and bytes that are nobody's concern


def suspects(recorded: Mapping[str, Sequence[float]], head: Mapping[str, float], policy: Policy) -> tuple[str, ...]:
    """The times and memory metrics in which a run of head is out of what the recorded runs cost."""
    found = dict.fromkeys((*gross(recorded, head, policy), *_out_of_bounds(head, policy)))
    many = {name: values for name, values in recorded.items() if len(values) >= MIN_RUNS and name in head}
    ran = {name: (head[name],) for name in many}
    return (*found, *(name for name in suspicious(many, ran, policy) if name not in found))


def gross(recorded: Mapping[str, Sequence[float]], head: Mapping[str, float], policy: Policy) -> tuple[str, ...]:
    """The metrics in which a run of head is beyond FACTOR times the worst recorded one."""
    return tuple(
        name
        for name, values in recorded.items()
        if name in policy.metrics
        and name in head
        and policy.metrics[name].kind in _SLACK
        and head[name] > FACTOR * max(values) + _SLACK[policy.metrics[name].kind]
    )


def _out_of_bounds(head: Mapping[str, float], policy: Policy) -> Iterator[str]:
    for name, value in head.items():
        if name in policy.metrics and exact.within_bounds(policy.metrics[name], value).verdict is Verdict.FAIL:
            yield name


def shows_spread(recorded: Mapping[str, Sequence[float]]) -> bool:
    """Whether there are enough runs to see less than a gross excess."""
    return max(map(len, recorded.values()), default=0) >= MIN_RUNS
