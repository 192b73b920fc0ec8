"""Which disturbances there are, spread over the verbs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills import trials as tries
from fuzz.kills import ways
from fuzz.kills.verbs import BY_NAME, PINNED, Room, Verb, copy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fuzz.kills.trials import Bench, Trial

WAYS = ("random", "call", "child", "error", "limit", "full", "read-only", "eight", "mixed")
SIZES = (0, 10, 300, 1000, 2000, 4000)
ROOM = (0, 4096, 8192, 16384, 32768)
PLACES = ("repo", "repo/.git", "repo/.runs", "repo/.orchgate", "repo/docs", "repo/tasks", "tmp", "trees")
MIXED = (
    "run",
    "rlm",
    "observe",
    "new",
    "init",
    "pin",
    "summarize",
    "push",
    "fetch",
    "metrics",
    "baseline-record",
    "perf",
)


class Wanted(NamedTuple):
    """How many kills and failing calls for all verbs together, and which ways; `every` n-th of what is no number.

    `seed` is where chance begins.
    """

    kills: int
    failures: int
    ways: Sequence[str] = WAYS
    every: int = 1
    seed: int = 1


def trials(world: Room, folder: str, chosen: Sequence[Verb], wanted: Wanted) -> Iterator[Trial]:
    """Everything that is tried with each of the verbs, in copies of a room that was built."""
    wanted = _possible(wanted)
    for verb in chosen:
        yield from _verb(tries.prepared(world, verb, folder), wanted, len(chosen))


def _possible(wanted: Wanted) -> Wanted:
    """Without what needs a tracer where there is none."""
    if ways.strace() is not None:
        return wanted
    print("skipped: call, child, error: there is no strace that may trace", file=sys.stderr)
    return wanted._replace(ways=tuple(way for way in wanted.ways if way not in ("call", "child", "error")))


def _verb(bench: Bench, wanted: Wanted, verbs: int) -> Iterator[Trial]:
    share = max(1, wanted.kills // verbs)
    kinds = [way for way in ("random", "call", "child") if way in wanted.ways]
    own = _moments(bench, children=False) if {"call", "error"} & set(wanted.ways) else []
    all_ = _moments(bench, children=True) if "child" in wanted.ways else []
    # Half at the calls that write, a third of which in a child; the rest whenever it comes.
    at_calls = ways.spread(own, max(1, share * 2 // 5)) if "call" in kinds else []
    in_children = ways.spread(all_, max(1, share // 5)) if "child" in kinds else []
    yield from (tries.at_call(bench, moment, number) for number, moment in enumerate(at_calls))
    yield from (tries.at_call(bench, moment, number, children=True) for number, moment in enumerate(in_children))
    if "random" in kinds:
        rest = share - len(at_calls) - len(in_children)
        yield from (tries.at_random(bench, wanted.seed * 100_000 + number) for number in range(rest))
    yield from _starved(bench, wanted, own, verbs)


def _moments(bench: Bench, *, children: bool) -> list[ways.Moment]:
    room = copy(bench.room, f"{bench.room.folder}-traced-{children}")
    return ways.moments(room, bench.verb, children=children)[0]


def _starved(bench: Bench, wanted: Wanted, own: Sequence[ways.Moment], verbs: int) -> Iterator[Trial]:
    if "error" in wanted.ways:
        for number, moment in enumerate(ways.spread(ways.on_disk(own, bench.room), max(1, wanted.failures // verbs))):
            errors = ways.failures(moment)
            error = errors[number % len(errors)]
            yield tries.failing(bench, moment, error, children=bool(number % 3 == 2))
    if "limit" in wanted.ways:
        yield from (tries.limited(bench, size) for size in SIZES[:: wanted.every])
    if "full" in wanted.ways:
        yield from filter(None, (tries.full(bench, room_for) for room_for in ROOM[:: wanted.every]))
    if "read-only" in wanted.ways:
        yield from filter(None, (tries.read_only(bench, place) for place in PLACES[:: wanted.every]))
    if "eight" in wanted.ways:
        yield tries.eight(bench)


def mixed(world: Room, folder: str) -> Trial:
    """All verbs at once, in one repository."""
    room = copy(world, os.path.join(folder, "mixed"))
    room.shell(f"{PINNED}; orchgate evidence push")
    return tries.mixed(room, [BY_NAME[name] for name in MIXED])
