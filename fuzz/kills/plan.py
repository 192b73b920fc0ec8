"""Which disturbances there are, spread over the verbs."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills import trials as tries
from fuzz.kills import ways
from fuzz.kills.verbs import BY_NAME, PINNED, Room, Verb, copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fuzz.kills.trials import Bench, Trial

    Try = Callable[[], Trial | None]

WAYS = ("random", "call", "child", "error", "limit", "full", "read-only", "eight", "mixed")
SIZES = (0, 10, 300, 1000, 2000, 4000)
ROOM = (0, 4096, 8192, 16384, 32768)
PLACES = ("repo", "repo/.git", "repo/.runs", "repo/.orchgate", "repo/docs", "repo/tasks", "tmp", "trees")
MIXED = ("run", "rlm", "observe", "new", "init", "pin", "summarize", "push", "fetch", "metrics", "perf")
# Beside others, tracked files are not what was committed.
BESIDE = Verb("baseline-record", ("baseline", "record", "--runs", "10", "--allow-dirty"))


class Wanted(NamedTuple):
    """How many kills and failing calls of each verb, and which ways; `every` n-th of what is no number.

    `seed` is where chance begins.
    """

    kills: int
    failures: int
    ways: Sequence[str] = WAYS
    every: int = 1
    seed: int = 1


def trials(world: Room, folder: str, verb: Verb, wanted: Wanted) -> Iterator[Try]:
    """Everything that is to be tried with a verb, in copies of a room that was built."""
    yield from _verb(tries.prepared(world, verb, folder), _possible(wanted))


def _possible(wanted: Wanted) -> Wanted:
    """Without what needs a tracer where there is none."""
    if ways.strace() is not None:
        return wanted
    print("skipped: call, child, error: there is no strace that may trace", file=sys.stderr)
    return wanted._replace(ways=tuple(way for way in wanted.ways if way not in ("call", "child", "error")))


def _verb(bench: Bench, wanted: Wanted) -> Iterator[Try]:
    share = wanted.kills
    kinds = [way for way in ("random", "call", "child") if way in wanted.ways]
    own = _moments(bench, children=False) if {"call", "error"} & set(wanted.ways) else []
    all_ = _moments(bench, children=True) if "child" in wanted.ways else []
    # Half at the calls that write, a third of which in a child; the rest whenever it comes.
    at_calls = ways.spread(own, max(1, share * 2 // 5)) if "call" in kinds else []
    in_children = ways.spread(all_, max(1, share // 5)) if "child" in kinds else []
    yield from (partial(tries.at_call, bench, moment, number) for number, moment in enumerate(at_calls))
    yield from (
        partial(tries.at_call, bench, moment, number, children=True) for number, moment in enumerate(in_children)
    )
    if "random" in kinds:
        rest = share - len(at_calls) - len(in_children)
        yield from (partial(tries.at_random, bench, wanted.seed * 100_000 + number) for number in range(rest))
    yield from _starved(bench, wanted, own)


def _moments(bench: Bench, *, children: bool) -> list[ways.Moment]:
    room = copy(bench.room, f"{bench.room.folder}-traced-{children}")
    return ways.moments(room, bench.verb, children=children)[0]


def _starved(bench: Bench, wanted: Wanted, own: Sequence[ways.Moment]) -> Iterator[Try]:
    if "error" in wanted.ways:
        for number, moment in enumerate(ways.spread(ways.on_disk(own, bench.room), wanted.failures)):
            errors = ways.failures(moment)
            error = errors[number % len(errors)]
            yield partial(tries.failing, bench, moment, error, children=number % 3 == 2)
    if "limit" in wanted.ways:
        yield from (partial(tries.limited, bench, size) for size in SIZES[:: wanted.every])
    if "full" in wanted.ways:
        yield from (partial(tries.full, bench, room_for) for room_for in ROOM[:: wanted.every])
    if "read-only" in wanted.ways:
        yield from (partial(tries.read_only, bench, place) for place in PLACES[:: wanted.every])
    if "eight" in wanted.ways:
        yield partial(tries.eight, bench)


def mixed(world: Room, folder: str) -> Trial:
    """All verbs at once, in one repository."""
    room = copy(world, os.path.join(folder, "mixed"))
    room.shell(f"{PINNED}; orchgate evidence push")
    return tries.mixed(room, [*(BY_NAME[name] for name in MIXED), BESIDE])
