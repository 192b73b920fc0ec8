"""Which disturbances there are, spread over the verbs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills import trials as tries
from fuzz.kills import ways
from fuzz.kills.verbs import BY_NAME, PINNED, Room, Verb, build, copy

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
    """How many kills and failing calls for all verbs together, where chance begins, and which ways."""

    kills: int
    failures: int
    seed: int
    ways: Sequence[str]


def trials(folder: str, chosen: Sequence[Verb], wanted: Wanted) -> Iterator[Trial]:
    """Everything that is tried, verb by verb."""
    world = build(os.path.join(folder, "world"))
    wanted = _possible(wanted)
    for verb in chosen:
        yield from _verb(tries.prepared(world, verb, folder), wanted, len(chosen))
    if "mixed" in wanted.ways:
        yield _mixed(world, folder)


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
    at_calls = ways.spread(own, share * 2 // 5) if "call" in kinds else []
    in_children = ways.spread(all_, share // 5) if "child" in kinds else []
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
        yield from (tries.limited(bench, size) for size in SIZES)
    if "full" in wanted.ways:
        yield from filter(None, (tries.full(bench, room_for) for room_for in ROOM))
    if "read-only" in wanted.ways:
        yield from filter(None, (tries.read_only(bench, place) for place in PLACES))
    if "eight" in wanted.ways:
        yield tries.eight(bench)


def _mixed(world: Room, folder: str) -> Trial:
    room = copy(world, os.path.join(folder, "mixed"))
    room.shell(f"{PINNED}; orchgate evidence push")
    return tries.mixed(room, [BY_NAME[name] for name in MIXED])
