"""How often is a verdict wrong? Our rule and its rivals replayed on the same recorded windows.

`python bench/accuracy/table.py [METRIC]`, a few minutes. Everything replayed was measured; README.md says how many
decisions are made of few streams.
"""

from __future__ import annotations

import random
import sys
from math import expm1, log, sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

from rivals import RIVALS, Runs
from streams import everything

from orchgate.metrics.comparison import LOOKS, judge
from orchgate.metrics.estimate import Sample, centre
from orchgate.metrics.values import KNOWN, Judgement, Pair, Policy
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivals import Rival
    from streams import Stream

STEP = 32  # pairs between the starts of two windows
RELABELLINGS = 60  # of each window in which both arms did the same work
SEED = 20261123
FALSE_ALARMS = 0.005
POLICY = {metric.name: metric for metric in KNOWN[:3]}


class Window(NamedTuple):
    """Pairs in a row, up to the last look. A window that reaches the end of what was recorded goes on at its beginning.

    `stored` are runs of base from the same workload, recorded at another time.
    """

    workload: str
    pairs: list[Pair]
    stored: list[Pair]


class Outcomes(NamedTuple):
    """Decisions on windows with one injected slow-down."""

    total: int
    alarms: int
    refusals: int
    undecided: int
    runs: float  # median, of head and base together


Tracks = dict[tuple[str, int], list[Pair]]


def tracks(streams: Sequence[Stream]) -> Tracks:
    """All pairs of a workload and an injected percentage, block after block."""
    found: Tracks = {}
    for stream in sorted(streams, key=lambda stream: int(stream.block)):
        found.setdefault((stream.workload, stream.percent), []).extend(stream.pairs)
    return found


def windows(found: Tracks) -> Iterator[tuple[int, Window]]:
    for (workload, percent), pairs in found.items():
        others = [other for (name, level), other in found.items() if name == workload and level != percent] or [pairs]
        for number, start in enumerate(range(0, len(pairs), STEP)):
            stored = others[number % len(others)]
            yield percent, Window(workload, (pairs[start:] + pairs[:start])[: LOOKS[-1]], stored[start % 64 :])


def relabelled(window: Window, flips: random.Random) -> Window:
    """The same runs, other coins: which of two runs of the same work is called head means nothing."""
    swapped = [Pair(p.head, p.base, not p.head_first) if flips.random() < 0.5 else p for p in window.pairs]
    return window._replace(pairs=swapped)


def sets(found: Tracks) -> dict[int, list[Window]]:
    """The windows of one condition by injected slow-down in percent."""
    flips = random.Random(SEED)
    by_percent: dict[int, list[Window]] = {}
    for percent, window in windows(found):
        copies = [window] if percent else [relabelled(window, flips) for _ in range(RELABELLINGS)]
        by_percent.setdefault(percent, []).extend(copies)
    return dict(sorted(by_percent.items()))


def ours(found: Sequence[Window], policy: Policy) -> list[Judgement]:
    return [judge(window.pairs, policy) for window in found]


def outcomes(judgements: Sequence[Judgement]) -> Outcomes:
    verdicts = [judgement.verdict for judgement in judgements]
    runs = [2 * max(one.pairs for one in judgement.metrics) for judgement in judgements]
    refusals = verdicts.count(Verdict.FAIL)
    alarms = refusals + verdicts.count(Verdict.WARN)
    return Outcomes(len(verdicts), alarms, refusals, verdicts.count(Verdict.INCONCLUSIVE), median(runs))


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.96
    share, scale = hits / total, 1 + z * z / total
    middle, half = share + z * z / (2 * total), z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def share(hits: int, total: int) -> str:
    low, high = wilson(hits, total)
    return f"{hits / total:6.1%} ({low:.1%}-{high:.1%})"


def theirs(rival: Rival, by_percent: dict[int, list[Window]], metric: str, *, equal: bool) -> dict[int, Outcomes]:
    """A rival's decisions, by its own threshold or by the one at which FALSE_ALARMS of its verdicts are."""
    found = {percent: scores(rival, windows_, metric) for percent, windows_ in by_percent.items()}
    threshold = rival.threshold
    if equal:
        threshold = sorted(found[0])[-1 - int(FALSE_ALARMS * len(found[0]))]
    return {
        percent: Outcomes(len(values), sum(value > threshold for value in values), 0, 0, rival.runs)
        for percent, values in found.items()
    }


def scores(rival: Rival, found: Sequence[Window], metric: str) -> list[float]:
    return [
        rival.score(
            Runs(
                [pair.base[metric] for pair in window.pairs],
                [pair.head[metric] for pair in window.pairs],
                [pair.base[metric] for pair in window.stored],
            )
        )
        for window in found
    ]


def injected(found: Tracks, percent: int, metric: str) -> float:
    """What a slow-down measurably is, over all workloads: a fraction."""
    changes = [
        centre(Sample(tuple(log(p.base[metric]) for p in pairs), tuple(log(p.head[metric]) for p in pairs)))
        for (_, level), pairs in found.items()
        if level == percent
    ]
    return expm1(fmean(changes))


def row(name: str, outcomes: dict[int, Outcomes]) -> str:
    none = outcomes[0]
    cells = [f"{one.alarms / one.total:6.1%}" for percent, one in outcomes.items() if percent]
    runs = "/".join(f"{one.runs:.0f}" for one in outcomes.values())
    undecided = "/".join(f"{one.undecided / one.total:.0%}" for one in outcomes.values())
    return f"{name:<46} {share(none.alarms, none.total):>22} {' '.join(cells)}   {undecided:<20} {runs}"


def report(condition: str, streams: Sequence[Stream], metric: str) -> None:
    found = tracks(streams)
    by_percent = sets(found)
    print(f"\n{condition}, {metric}")
    for percent, some in by_percent.items():
        pairs = sum(len(track) for (_, level), track in found.items() if level == percent)
        measured = f", measured {injected(found, percent, metric):+.1%}" if percent else f" x {RELABELLINGS} labellings"
        print(f"  {percent:>2} % more work: {len(some)} decisions on windows of {pairs} recorded pairs{measured}")
    percents = " ".join(f"{percent:>4} %" for percent in by_percent if percent)
    print(f"{'rule':<46} {'false alarms (95 %)':>22} {percents}   {'undecided':<20} runs")
    alone = {percent: ours(some, Policy({metric: POLICY[metric]})) for percent, some in by_percent.items()}
    print(row(f"orchgate, {metric} alone", {percent: outcomes(some) for percent, some in alone.items()}))
    together = {percent: outcomes(ours(some, Policy(POLICY))) for percent, some in by_percent.items()}
    print(row("orchgate, CPU, wall and memory together", together))
    for rival in RIVALS:
        print(row(rival.name, theirs(rival, by_percent, metric, equal=False)))
    print(f"the rivals again, with thresholds at which {FALSE_ALARMS:.1%} of these windows are false alarms")
    for rival in {rival.score: rival for rival in RIVALS}.values():
        print(row(rival.name.split(",")[0].split(" p <")[0], theirs(rival, by_percent, metric, equal=True)))
    print(f"orchgate, {metric} alone, by workload: found, refused, undecided, passed; median runs")
    for percent, some in by_percent.items():
        for workload in sorted({window.workload for window in some}):
            own = [one for one, window in zip(alone[percent], some, strict=True) if window.workload == workload]
            print(f"  {percent:>2} % {workload:<10} {line(outcomes(own))}")


def line(one: Outcomes) -> str:
    passed = one.total - one.alarms - one.undecided
    parts = (one.alarms, one.refusals, one.undecided, passed)
    return " ".join(f"{part / one.total:7.1%}" for part in parts) + f"  {one.runs:.0f}"


def main(metric: str = "cpu_seconds") -> None:
    streams = everything()
    for condition in sorted({stream.condition for stream in streams}):
        report(condition, [stream for stream in streams if stream.condition == condition], metric)


if __name__ == "__main__":
    main(*sys.argv[1:])
