"""How often is a gross excess seen where both arms did the same work? `python bench/accuracy/gross.py [WINDOWS]`.

Windows (10,000 of each kind and condition) are drawn from the recorded streams with replacement: pairs in a row, at a
random place, under random labels. Besides the streams in which both arms did the same work, the runs of base of all
others are paired with each other. What the streams do not say is for how long a run waited for a CPU: the rule then
takes the most that it takes for possible.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, NamedTuple

from streams import everything

from orchgate.verdict import gross
from orchgate.verdict.values import KNOWN, Pair, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams import Stream

SEED = 20261128
LONGER = 10.0  # times as long as recorded, as if the commands took a second: the rule's floor protects short ones
POLICIES = {metric.name: Policy({metric.name: metric}) for metric in KNOWN[:2]}


class Rule(NamedTuple):
    name: str
    pairs: int
    alarm: Callable[[Sequence[Pair], Policy], bool]


def same(stream: Stream) -> list[Pair]:
    """Pairs of runs that did the same work."""
    if not stream.percent:
        return stream.pairs
    runs = [pair.base for pair in stream.pairs]
    return [Pair(one, other) for one, other in zip(runs[::2], runs[1::2], strict=False)]


def longer(pair: Pair) -> Pair:
    base, head = ({name: value * LONGER for name, value in run.items()} for run in (pair.base, pair.head))
    return Pair(base, head)


def excess(pairs: Sequence[Pair], policy: Policy) -> bool:
    return bool(gross.excesses(pairs, [None] * len(pairs), policy))


def unfinished(pairs: Sequence[Pair], policy: Policy) -> bool:
    """Whether head's run is ended, and after another one of base a second time."""
    (first, first_head), (second, second_head) = (
        (pair.base["wall_seconds"], pair.head["wall_seconds"]) for pair in pairs
    )
    limits = [gross.limit(base, policy) for base in (first, max(first, second))]
    heads = (first_head, second_head)
    return all(limit is not None and head > limit for head, limit in zip(heads, limits, strict=True))


RULES = (
    Rule("1.5 times as long in all of 3 pairs", gross.PAIRS, excess),
    Rule("1.5 times as long in all of 6 pairs", gross.MORE_PAIRS, excess),
    Rule("ended at 5 times and a second, twice", 2, unfinished),
)


def windows(tracks: Sequence[list[Pair]], pairs: int, count: int, flips: random.Random) -> list[list[Pair]]:
    long_enough = [track for track in tracks if len(track) >= pairs]
    starts = [len(track) - pairs + 1 for track in long_enough]
    drawn = flips.choices(long_enough, starts, k=count)
    return [[labelled(pair, flips) for pair in window(track, pairs, flips)] for track in drawn]


def window(track: list[Pair], pairs: int, flips: random.Random) -> list[Pair]:
    start = flips.randrange(len(track) - pairs + 1)
    return track[start : start + pairs]


def labelled(pair: Pair, flips: random.Random) -> Pair:
    return Pair(pair.head, pair.base) if flips.random() < 0.5 else pair


def report(condition: str, tracks: Sequence[list[Pair]], count: int) -> None:
    recorded = sum(map(len, tracks))
    print(f"\n{condition}: {recorded} recorded pairs in {len(tracks)} streams")
    for rule in RULES:
        for metric, policy in POLICIES.items():
            if rule.alarm is unfinished and metric != "wall_seconds":
                continue
            flips = random.Random(SEED)
            found = windows(tracks, rule.pairs, count, flips)
            plain = sum(rule.alarm(one, policy) for one in found)
            stretched = sum(rule.alarm([longer(pair) for pair in one], policy) for one in found)
            apart = sum(len(track) // rule.pairs for track in tracks)
            print(
                f"  {rule.name:<37} {metric:<13} {plain} of {count}; {LONGER:g} times as long: {stretched}; "
                f"windows that do not overlap: {apart}, so less than {3 / apart:.2%} (95 %) where none is found"
            )


def main(count: int) -> None:
    streams = everything()
    for condition in sorted({stream.condition for stream in streams}):
        report(condition, [same(stream) for stream in streams if stream.condition == condition], count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
