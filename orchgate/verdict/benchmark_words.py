"""Named benchmarks and what was judged of them, in words for people. Pure functions; names are not escaped yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.lib.text import clip, counted
from orchgate.model import Verdict
from orchgate.verdict import words
from orchgate.verdict.values import Answer, BenchmarkJudgement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.verdict.values import Compared, FailedBenchmark, Judgement

MOST = 10  # that are named one by one
_LISTED = 5  # names in one line
_FEW = 3  # names, and pairs from which on a change is worth one
_LARGE = 0.1  # a change that is worth a word though nothing is known of it for sure
_LONGEST = 120  # characters of a name
NOTHING = BenchmarkJudgement(Verdict.PASS)
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """`1.21 ms`: three digits that count."""
    unit, name = next(((unit, name) for unit, name in _UNITS if seconds >= unit), _UNITS[-1])
    digits = f"{seconds / unit:.3g}"
    return f"{float(digits):.0f} {name}" if "e" in digits else f"{digits} {name}"


def called(name: str) -> str:
    """A name that fits into a line."""
    return clip(name, _LONGEST)


def moved(one: Compared) -> str:
    """`benchmark parse +20.3 % (+18.1 % to +22.4 %; 1.21 ms -> 1.46 ms)`."""
    if one.estimate is None:
        return f"benchmark {called(one.name)}: {one.reason}"
    verb = " is probably slower:" if one.answer is Answer.PROBABLY_SLOWER else ""
    told = [] if one.low is None or one.high is None else [words.interval(one)]
    if one.base is not None and one.head is not None:
        told.append(f"{duration(one.base)} -> {duration(one.head)}")
    return f"benchmark {called(one.name)}{verb} {words.percent(one.estimate)} ({'; '.join(told)})"


def failed(one: FailedBenchmark) -> str:
    """`benchmark parse has no result in 2 of 16 runs of head: it was not reported`."""
    what = f"benchmark {called(one.name)}" if one.name else "the file of results"
    runs = "any run" if one.runs == one.of else f"{one.runs} of {one.of} runs"
    verb = "has no result in" if one.name else "could not be read in"
    return f"{what} {verb} {runs} of {one.side}: {one.why}"


def movers(named: BenchmarkJudgement) -> tuple[Compared, ...]:
    """What moved, worst first."""
    return tuple(one for one in named.judged if one.verdict in (Verdict.FAIL, Verdict.WARN))


def headlines(judgement: Judgement) -> Iterator[str]:
    """What among benchmarks decided the verdict: a line each, and one for those beyond MOST."""
    named, verdict = judgement.benchmarks, judgement.verdict
    if named is None or named.verdict is not verdict or verdict is Verdict.PASS:
        return
    if named.reason and not named.judged and named.reason != judgement.reason:
        yield named.reason
    yield from first(
        [moved(one) for one in movers(named) if one.verdict is verdict]
        + [failed(one) for one in named.failed if one.verdict is verdict]
    )
    if verdict is Verdict.INCONCLUSIVE:
        yield rest(named)


def first(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        more = len(lines) - MOST
        yield f"and {counted(more, 'more benchmark')} like these"


def lines(judgement: Judgement) -> Iterator[str]:
    """All that did not decide the verdict: what else moved or failed, the rest in a line, what only one side has."""
    named, verdict = judgement.benchmarks, judgement.verdict
    if named is None or (named.reason and not named.judged):  # then that is all there is to say
        return
    yield from first([moved(one) for one in movers(named) if one.verdict is not verdict])
    yield from first([failed(one) for one in named.failed if one.verdict is not verdict or verdict is Verdict.PASS])
    if (told := rest(named)) and not named.verdict is verdict is Verdict.INCONCLUSIVE:
        yield told
    yield from changed(named)


def rest(named: BenchmarkJudgement) -> str:
    """`other benchmarks: 497 not slower, 3 undecided, 1 added`."""
    passed = sum(one.verdict is Verdict.PASS for one in named.judged)
    parts = [f"{passed} not slower"] if passed else []
    parts += [still_open(named)] if any(one.verdict is Verdict.INCONCLUSIVE for one in named.judged) else []
    parts += [f"{len(named.only_on_head)} added"] if named.only_on_head else []
    parts += [f"{len(named.only_on_base)} removed"] if named.only_on_base else []
    others = "other benchmarks: " if movers(named) else "benchmarks: "
    return others + ", ".join(parts) if parts else ""


def still_open(named: BenchmarkJudgement) -> str:
    """`3 undecided (12 pairs of the 16 that 500 benchmarks need; most changed: parse +40.0 %)`."""
    open_ = [one for one in named.judged if one.verdict is Verdict.INCONCLUSIVE]
    large = [one for one in open_ if one.pairs >= _FEW and (one.estimate or 0.0) >= _LARGE]
    most = [f"{called(one.name)} {words.percent(one.estimate)}" for one in large]
    why = [named.reason, f"most changed: {', '.join(most[:_FEW])}" if most and named.reason else ""]
    return f"{len(open_)} undecided" + (f" ({'; '.join(filter(None, why))})" if named.reason else "")


def changed(named: BenchmarkJudgement) -> Iterator[str]:
    """What only one side has."""
    old, new = ({pair[side] for pair in named.renamed} for side in (0, 1))
    pairs = [f"{called(one)} -> {called(other)}" for one, other in named.renamed]
    lists = (
        ("perhaps renamed, and so not compared", pairs),
        ("removed, and so not compared", [called(name) for name in named.only_on_base if name not in old]),
        ("added", [called(name) for name in named.only_on_head if name not in new]),
    )
    for what, listed in lists:
        if listed:
            more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
            yield f"benchmarks {what}: {', '.join(listed[:_LISTED])}{more}"


def facts(named: BenchmarkJudgement | None) -> dict[str, Any]:
    """All of it for programs, JSON-able."""
    found = named or NOTHING
    return {
        "benchmarks": [_plain(one) for one in found.judged],
        "benchmarks_only_on_base": list(found.only_on_base),
        "benchmarks_only_on_head": list(found.only_on_head),
        "benchmarks_perhaps_renamed": [{"base": old, "head": new} for old, new in found.renamed],
        "benchmarks_failed": [{**one._asdict(), "verdict": one.verdict.value} for one in found.failed],
        "benchmarks_reason": found.reason or None,
    }


def _plain(one: Compared) -> dict[str, Any]:
    return {
        "name": one.name,
        "verdict": one.verdict.value,
        "answer": one.answer.value,
        "base": one.base,
        "head": one.head,
        "change": one.estimate,
        "low": one.low,
        "high": one.high,
        "p": one.p,
        "pairs": one.pairs,
        "reason": one.reason,
    }
