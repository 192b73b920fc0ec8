"""What a run or a stage cost, by the names of an aggregate, in whole numbers: times in microseconds. Imports msgspec.

What a run cost counts among the costs when it succeeded and no stage was answered from the cache; its attempts that
failed before one passed are part of what the success cost. A stage that succeeded counts, whatever became of its run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.metrics.aggregate import MICRO, SUCCEEDED
from orchgate.metrics.lines import EntryLine, ForeignLine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.metrics.lines import CostLine, Entry

MOST_WRITES = 1 << 32  # as many as an entry of ours may count itself


def is_cached(entry: EntryLine) -> bool:
    return any(stage.cached for stage in entry.stages)


def of_success(entry: Entry) -> Iterator[tuple[str, int]]:
    """What a run adds to its pipeline's costs, by name; times in microseconds. Nothing where it is none of them."""
    if entry.status == SUCCEEDED:
        yield from spent(entry)


def spent(entry: Entry) -> Iterator[tuple[str, int]]:
    """As `of_success`, whether the run succeeded or not."""
    if isinstance(entry, ForeignLine):
        if entry.duration_seconds is not None:
            yield "wall_seconds", round(entry.duration_seconds * MICRO)
        return
    if is_cached(entry):
        return
    said = entry.metrics.manifest_writes if entry.metrics else None
    # A program's own writes are what can change; the runner's are the same in every run.
    writes = round(said) if said is not None and 0 <= said < MOST_WRITES else entry.manifest_writes
    if writes is not None:
        yield "manifest_writes", writes
    if not _absent(entry):
        yield from of(entry)
        return
    yield from ((name, value) for name, value in of(entry) if name != "wall_seconds")


def of(cost: CostLine) -> Iterator[tuple[str, int]]:
    # One by one: this is asked of every stage there ever was.
    if cost.wall_seconds is not None:
        yield "wall_seconds", round(cost.wall_seconds * MICRO)
    if cost.user_seconds is not None and cost.system_seconds is not None:
        yield "cpu_seconds", round((cost.user_seconds + cost.system_seconds) * MICRO)
    if cost.max_rss_bytes is not None:
        yield "max_rss_bytes", cost.max_rss_bytes
    if cost.tree_rss_bytes is not None:
        yield "tree_rss_bytes", cost.tree_rss_bytes
    if cost.read_bytes is not None:
        yield "read_bytes", cost.read_bytes
    if cost.written_bytes is not None:
        yield "written_bytes", cost.written_bytes
    if cost.processes is not None:
        yield "processes", cost.processes


def wall(cost: ForeignLine | CostLine) -> int | None:
    """Microseconds; None where nobody knows."""
    seconds = cost.duration_seconds if isinstance(cost, ForeignLine) else cost.wall_seconds
    return None if seconds is None or (isinstance(cost, EntryLine) and _absent(cost)) else round(seconds * MICRO)


def _absent(entry: EntryLine) -> bool:
    """Whether the wall time holds hours in which nobody ran it: older versions counted them, and did not say so."""
    return entry.resumes > 0 and entry.away_seconds is None


def is_bound(cost: ForeignLine | CostLine, name: str) -> bool:
    """Whether a cost is known only to be at least what is recorded."""
    known = bounds(cost)
    return known is not None and (not known or name in known)


def bounds(cost: ForeignLine | CostLine) -> Collection[str] | None:
    """The costs that are lower bounds; an empty one means all, None for none."""
    if isinstance(cost, ForeignLine):
        return None
    return cost.lower_bounds or (() if cost.complete is False else None)
