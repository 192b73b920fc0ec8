"""How often is a verdict wrong? Our rule and its rivals replayed on the same recorded windows.

`python bench/accuracy/table.py [METRIC [PART]]`, some minutes; PART is `tuned`, `untouched` or `all` (default).
Everything replayed was measured; README.md says how many decisions are made of few streams.
"""

from __future__ import annotations

import random
import sys
from math import expm1, log
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

from rivals import RIVALS, Runs
from streams import everything, was_tuned_on

from orchgate.model import Verdict
from orchgate.verdict.before_after import share_interval
from orchgate.verdict.comparison import judge
from orchgate.verdict.sign_flip import Sample, centre
from orchgate.verdict.values import KNOWN, Answer, Compared, Pair, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivals import Rival
    from streams import Stream

LENGTHS = (32, 64, 128)  # pairs of a whole comparison
STEP = 16  # pairs between the starts of two windows
RELABELLINGS = 20  # of each window in which both arms did the same work
SEED = 20261123
FALSE_ALARMS = 0.005
POLICY = {metric.name: metric for metric in KNOWN[:3]}


class Window(NamedTuple):
    """So many pairs in a row: all that a comparison gets.

    `truth` is what the change is over the whole track, `stored` are runs of base from the same workload, recorded at
    another time, and `later` the pairs that follow, for rivals who need more.
    """

    workload: str
    pairs: list[Pair]
    truth: float
    stored: list[Pair]
    later: list[Pair]


class Decision(NamedTuple):
    """What the rule says of a window: of all metrics together, and of the one that is looked at."""

    answer: Answer
    refused: bool
    told: Compared


class Outcomes(NamedTuple):
    """Decisions on windows with one injected slow-down."""

    total: int
    found: int
    refused: int
    probable: int
    passed: int
    covered: int
    width: float  # median, of the intervals
    runs: float  # median, of head and base together


Tracks = dict[tuple[str, int], list[Pair]]


def tracks(streams: Sequence[Stream]) -> Tracks:
    """All pairs of a workload and an injected percentage, block after block."""
    found: Tracks = {}
    for stream in sorted(streams, key=lambda stream: int(stream.block)):
        found.setdefault((stream.workload, stream.percent), []).extend(stream.pairs)
    return found


def windows(found: Tracks, length: int, metric: str) -> Iterator[tuple[int, Window]]:
    for (workload, percent), pairs in found.items():
        others = [other for (name, level), other in found.items() if name == workload and level != percent] or [pairs]
        truth = change(pairs, metric) if percent else 0.0
        for number, start in enumerate(range(0, len(pairs) - length + 1, STEP)):
            stored = others[number % len(others)][start % 64 :]
            yield percent, Window(workload, pairs[start : start + length], truth, stored, (pairs + pairs)[start:])


def change(pairs: Sequence[Pair], metric: str) -> float:
    """What the change is over many pairs: a fraction."""
    arms = (tuple(log(pair.base[metric]) for pair in pairs), tuple(log(pair.head[metric]) for pair in pairs))
    return expm1(centre(Sample(*arms)))


def relabelled(window: Window, flips: random.Random) -> Window:
    """The same runs, other coins: which of two runs of the same work is called head means nothing."""
    coins = [flips.random() < 0.5 for _ in window.later]
    later = [Pair(p.head, p.base, not p.head_first) if coin else p for p, coin in zip(window.later, coins, strict=True)]
    return window._replace(pairs=later[: len(window.pairs)], later=later)


def decided(window: Window, policy: Policy, metric: str) -> Decision:
    judgement = judge(window.pairs, policy)
    said = {one.answer for one in judgement.metrics}
    passed = Answer.NOT_SLOWER if judgement.verdict is Verdict.PASS else Answer.CANNOT_TELL
    answer = next((one for one in (Answer.SLOWER, Answer.PROBABLY_SLOWER) if one in said), passed)
    told = next(one for one in judgement.metrics if one.name == metric)
    return Decision(answer, judgement.verdict is Verdict.FAIL, told)


def outcomes(judged: Sequence[tuple[Window, Decision]]) -> Outcomes:
    answers = [one.answer for _, one in judged]
    intervals = [(one.told.low, one.told.high, window.truth) for window, one in judged]
    covered = [low is not None and high is not None and low <= truth <= high for low, high, truth in intervals]
    widths = [high - low for low, high, _ in intervals if low is not None and high is not None]
    return Outcomes(
        len(judged),
        answers.count(Answer.SLOWER),
        sum(one.refused for _, one in judged),
        answers.count(Answer.PROBABLY_SLOWER),
        answers.count(Answer.NOT_SLOWER),
        sum(covered),
        median(widths) if widths else 0.0,
        median(2 * one.told.pairs for _, one in judged),
    )


def share(hits: int, total: int) -> str:
    low, high = share_interval(hits, total)
    return f"{hits / total:6.1%} ({low:.1%}-{high:.1%})"


def effective(judged: Sequence[tuple[Window, Decision]], recorded: int) -> int:
    """How many independent decisions these amount to at most: recorded pairs by the pairs that a decision took.

    Windows overlap and labellings share their runs, so neither adds to what was measured.
    """
    taken = fmean(one.told.pairs for _, one in judged)
    return min(len(judged), max(1, round(recorded / taken)))


def row(name: str, one: Outcomes, independent: int) -> str:
    low, high = share_interval(round(one.found / one.total * independent), independent)
    shares = (one.found, one.refused, one.probable, one.passed)
    cells = " ".join(f"{part / one.total:7.1%}" for part in shares)
    undecided = one.total - one.found - one.probable - one.passed
    return (
        f"{name:<36} {one.total:>6} {independent:>5}  {cells} {undecided / one.total:7.1%}  {low:5.0%}-{high:4.0%}"
        f"   {one.covered / one.total:7.1%} {one.width:6.1%}  {one.runs:.0f}"
    )


HEADER = (
    f"{'':<36} {'all':>6} {'eff.':>5}  {'found':>7} {'refused':>7} {'probab.':>7} {'passed':>7} {'open':>7}"
    f"  {'found, 95 %':>11} {'covered':>8} {'width':>6}  runs"
)


def replayed(found: Tracks, length: int, metric: str) -> None:
    """Our rule on whole comparisons of so many pairs."""
    flips = random.Random(SEED)
    by_percent: dict[int, list[Window]] = {}
    for percent, window in windows(found, length, metric):
        by_percent.setdefault(percent, []).append(window)
    print(f"\ncomparisons of {length} pairs")
    print(HEADER)
    policies = (("alone", Policy({metric: POLICY[metric]})), ("any of three", Policy(POLICY)))
    for percent, some in sorted(by_percent.items()):
        recorded = sum(len(track) for (_, level), track in found.items() if level == percent)
        sets = {"": some}
        if not percent:
            sets = {
                ", as recorded": some,
                ", other coins": [relabelled(window, flips) for window in some for _ in range(RELABELLINGS)],
            }
        for name, chosen in sets.items():
            for kind, policy in policies:
                judged = [(window, decided(window, policy, metric)) for window in chosen]
                label = f"{percent:>2} %{name}, {kind}"
                print(row(label, outcomes(judged), effective(judged, recorded)))
                if kind == "alone" and name != ", other coins":
                    by_workload(judged, found, percent)


def by_workload(judged: Sequence[tuple[Window, Decision]], found: Tracks, percent: int) -> None:
    for workload in sorted({window.workload for window, _ in judged}):
        own = [(window, one) for window, one in judged if window.workload == workload]
        print(row(f"     {workload}", outcomes(own), effective(own, len(found[workload, percent]))))


# The rivals


def sets(found: Tracks, metric: str) -> dict[int, list[Window]]:
    """Windows of 64 pairs by injected slow-down in percent, those of the same work under many labellings."""
    flips = random.Random(SEED)
    by_percent: dict[int, list[Window]] = {}
    for percent, window in windows(found, 64, metric):
        copies = [window] if percent else [relabelled(window, flips) for _ in range(RELABELLINGS)]
        by_percent.setdefault(percent, []).extend(copies)
    return dict(sorted(by_percent.items()))


def theirs(rival: Rival, by_percent: dict[int, list[Window]], metric: str, *, equal: bool) -> str:
    """A rival's decisions, by its own threshold or by the one at which FALSE_ALARMS of its verdicts are."""
    found = {percent: scores(rival, windows_, metric) for percent, windows_ in by_percent.items()}
    threshold = rival.threshold
    if equal:
        threshold = sorted(found[0])[-1 - int(FALSE_ALARMS * len(found[0]))]
    cells = [f"{sum(value > threshold for value in values) / len(values):7.1%}" for values in found.values()]
    name = rival.name.split(",")[0].split(" p <")[0] if equal else rival.name
    return f"{name:<46} {' '.join(cells)}  {rival.runs}"


def scores(rival: Rival, found: Sequence[Window], metric: str) -> list[float]:
    return [
        rival.score(
            Runs(
                [pair.base[metric] for pair in window.later],
                [pair.head[metric] for pair in window.later],
                [pair.base[metric] for pair in window.stored],
            )
        )
        for window in found
    ]


def compared_with_rivals(found: Tracks, metric: str) -> None:
    by_percent = sets(found, metric)
    percents = " ".join(f"{percent:>5} %" for percent in by_percent)
    print(f"\n{'alarms of rules, where they are more work by':<46} {percents}  runs")
    ours = [
        [decided(window, Policy({metric: POLICY[metric]}), metric) for window in some] for some in by_percent.values()
    ]
    cells = [f"{sum(one.answer is Answer.SLOWER for one in some) / len(some):7.1%}" for some in ours]
    runs = "/".join(f"{median(2 * one.told.pairs for one in some):.0f}" for some in ours)
    print(f"{'orchgate, 64 pairs at most':<46} {' '.join(cells)}  {runs}")
    for rival in RIVALS:
        print(theirs(rival, by_percent, metric, equal=False))
    print(f"the rivals again, with thresholds at which {FALSE_ALARMS:.1%} of these windows are false alarms")
    for rival in {rival.score: rival for rival in RIVALS}.values():
        print(theirs(rival, by_percent, metric, equal=True))


def report(condition: str, streams: Sequence[Stream], metric: str) -> None:
    found = tracks(streams)
    print(f"\n{condition}, {metric}")
    for percent in sorted({level for _, level in found}):
        of_it = {name: pairs for (name, level), pairs in found.items() if level == percent}
        told = ", ".join(f"{name} {change(pairs, metric):+.1%}" for name, pairs in of_it.items())
        print(f"  {percent:>2} % more work: {sum(map(len, of_it.values()))} recorded pairs; measured {told}")
    for length in LENGTHS:
        replayed(found, length, metric)
    compared_with_rivals(found, metric)


def main(metric: str = "cpu_seconds", part: str = "all") -> None:
    streams = [one for one in everything() if part == "all" or was_tuned_on(one) == (part == "tuned")]
    for condition in sorted({stream.condition for stream in streams}):
        report(condition, [stream for stream in streams if stream.condition == condition], metric)


if __name__ == "__main__":
    main(*sys.argv[1:])
