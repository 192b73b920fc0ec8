"""The runs at the end of a metrics file that a measurement can be set beside. Imports msgspec."""

from __future__ import annotations

import os
import re

from orchgate.lib import files
from orchgate.lib.codec import MsgspecError, json
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import MICRO, SUCCEEDED
from orchgate.metrics.lines import EntryLine, Name, costs_of, is_bound, is_cached

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TAIL_BYTES = 1 << 18  # bytes at the end of a file in which runs are looked for
_TREE = re.compile(rb'"tree":"([0-9a-f]{40,64})"')


class HistoryRun(NamedTuple):
    """A run that succeeded whole and at once: nothing cached, repeated or resumed, no change without a commit.

    `metrics` are those that `speed.sampling` measures too, by the names of `measures`, as far as they are known
    exactly; wall time is that of its stages, one after the other. `stages` are their ids.
    """

    run_id: str
    tree: str
    started: float  # seconds since the epoch
    stages: tuple[str, ...]
    metrics: Mapping[str, float]


class Tail(NamedTuple):
    """The runs at the end of a file, oldest first. `damaged` counts lines that name one of the trees and are no run."""

    runs: tuple[HistoryRun, ...]
    damaged: int


class _Placed(EntryLine, gc=False, kw_only=True):
    tree: Name | None = None
    dirty: bool = False


_decode_placed = json.Decoder(_Placed).decode


def newest(path: str, pipeline: str, machine: str, trees: Collection[str]) -> Tail:
    """The runs of a pipeline on a class of machines, of these trees, in the last `TAIL_BYTES` bytes. Raises OSError."""
    found: dict[str, _Placed] = {}
    damaged = 0
    for line in lines_at_end(path, TAIL_BYTES):
        tree = _TREE.search(line)
        if tree is None or tree[1].decode("ascii") not in trees:
            continue
        try:
            entry = _decode_placed(line)
        except (MsgspecError, RecursionError, ValueError):
            damaged += 1
            continue
        if (entry.pipeline_id, entry.machine) == (pipeline, machine) and entry.tree in trees:
            known = found.get(entry.run_id)
            if known is None or entry.resumes >= known.resumes:
                found[entry.run_id] = entry
    return Tail(tuple(_run(one) for one in found.values() if _is_whole(one)), damaged)


def lines_at_end(path: str, most: int) -> Iterator[bytes]:
    """Whole lines in the last `most` bytes; before the first break may be the rest of one. Raises OSError."""
    descriptor = files.open_regular(path)
    try:
        end = os.fstat(descriptor).st_size
        begin = max(0, end - most)
        data = os.pread(descriptor, end - begin, begin)
    finally:
        os.close(descriptor)
    lines = data.split(b"\n")[:-1]
    yield from lines[1:] if begin else lines


def _is_whole(entry: _Placed) -> bool:
    repeated = entry.flaky or any(stage.flaky for stage in entry.stages)
    inner = entry.pipeline_id in entry.inside
    return not (entry.status != SUCCEEDED or entry.resumes or entry.dirty or repeated or inner or is_cached(entry))


def _run(entry: _Placed) -> HistoryRun:
    known = {name: value for name, value in costs_of(entry) if not is_bound(entry, name)}
    metrics: dict[str, float] = {}
    if "cpu_seconds" in known:
        metrics["cpu_seconds"] = known["cpu_seconds"] / MICRO
    walls = [stage.wall_seconds for stage in entry.stages]
    if entry.stages and None not in walls:
        metrics["wall_seconds"] = round(sum(filter(None, walls)), 6)
    # Versions that did not sample the whole tree never say less than what the runner itself held.
    if "tree_rss_bytes" in known and "max_rss_bytes" in known:
        metrics["max_rss_bytes"] = known["max_rss_bytes"]
    metrics = {name: value for name, value in metrics.items() if value > 0}
    return HistoryRun(
        entry.run_id,
        entry.tree or "",
        entry.started_at.timestamp(),
        tuple(stage.id for stage in entry.stages),
        metrics,
    )
