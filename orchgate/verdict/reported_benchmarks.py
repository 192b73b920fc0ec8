"""Which benchmarks the runs reported, which of them only one side has, and which limits apply to a name."""

from __future__ import annotations

from math import isfinite

from orchgate.lib.paths import compile_glob
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.verdict import words
from orchgate.verdict.samples import groups, succeeded
from orchgate.verdict.values import BENCHMARK, RESULTS, USUAL_BENCHMARK, Answer, BenchmarkJudgement, FailedBenchmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.verdict.values import Compared, Judgement, Metric, Pair

Column = tuple[float | None, ...]  # seconds, pair by pair
_MOST = 30  # names of a side; with more, comparing each with each takes seconds and tells nothing
_ALIKE = 0.6
_SLASH = "\0"  # in no name


class Reported(NamedTuple):
    """Benchmarks without BENCHMARK before their names. `values` are base's and head's; `problem` says why one side has
    nothing at all that the other could be compared with, and `verdict` what that is to head. `groups` are the machines
    of the pairs, as `Sample` has them.
    """

    values: Mapping[str, tuple[Column, Column]]
    common: tuple[str, ...] = ()
    only_on_base: tuple[str, ...] = ()
    only_on_head: tuple[str, ...] = ()
    failed: tuple[FailedBenchmark, ...] = ()
    problem: str = ""
    verdict: Verdict = Verdict.PASS
    groups: tuple[int, ...] = ()


def reported(pairs: Sequence[Pair]) -> Reported | None:
    """None where no run says anything of benchmarks. A run that failed has none, and the success rate says that."""
    pairs = [pair for pair in pairs if succeeded(pair)]
    sides = [(pair.base, pair.base_unread) for pair in pairs], [(pair.head, pair.head_unread) for pair in pairs]
    base, head = (_columns(side) for side in sides)
    whole = [_whole(label, side) for label, side in zip(("base", "head"), sides, strict=True)]
    unread = [_reasons(side) for side in sides]
    if not any((base, head, *whole, *unread)):
        return None
    nothing = (None,) * len(pairs)
    values = {name: (base.get(name, nothing), head.get(name, nothing)) for name in sorted({**base, **head})}
    if not base or not head:
        return _one_sided(values, [one for one in whole if one])
    tell = {name for reasons in unread for name in reasons}
    only_on_base = tuple(name for name in values if name not in head and name not in tell)
    only_on_head = tuple(name for name in values if name not in base and name not in tell)
    lost = [{number for number, (_, why) in enumerate(side) if RESULTS in why} for side in sides]
    failed = [_failed(name, values.get(name, (nothing, nothing)), unread, lost) for name in sorted({*values, *tell})]
    left = {*only_on_base, *only_on_head}
    return Reported(
        values,
        tuple(name for name in values if name in base and name in head),
        only_on_base,
        only_on_head,
        tuple(one for one in (*whole, *failed) if one and one.name not in left),
        groups=groups(pairs),
    )


def _columns(side: Sequence[tuple[Mapping[str, float], Mapping[str, str]]]) -> dict[str, Column]:
    """The values of every benchmark that has at least one."""
    names = dict.fromkeys(name for metrics, _ in side for name in metrics if name.startswith(BENCHMARK))
    columns = {name: tuple(_usable(metrics.get(name)) for metrics, _ in side) for name in names}
    return {
        name.removeprefix(BENCHMARK): column
        for name, column in columns.items()
        if any(value is not None for value in column)
    }


def _usable(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) and value > 0 else None


def _reasons(side: Sequence[tuple[Mapping[str, float], Mapping[str, str]]]) -> dict[str, str]:
    """Why a benchmark has no value in some run; of several reasons the first."""
    found: dict[str, str] = {}
    for metrics, unread in side:
        for name, why in unread.items():
            if name != RESULTS:
                found.setdefault(name.removeprefix(BENCHMARK), why)
        for name, value in metrics.items():
            if name.startswith(BENCHMARK) and _usable(value) is None:
                found.setdefault(name.removeprefix(BENCHMARK), f"its time is {value:g}")
    return found


def _whole(label: str, side: Sequence[tuple[Mapping[str, float], Mapping[str, str]]]) -> FailedBenchmark | None:
    """The runs whose file of results could not be read."""
    reasons = [unread[RESULTS] for _, unread in side if RESULTS in unread]
    if not reasons:
        return None
    return FailedBenchmark(
        "", label, len(reasons), len(side), reasons[0], Verdict.WARN if label == "head" else Verdict.PASS
    )


def _one_sided(values: Mapping[str, tuple[Column, Column]], whole: Sequence[FailedBenchmark]) -> Reported:
    """One side, or neither, has any benchmark."""
    names = tuple(values)
    reasons = {one.side: one.why for one in whole}
    if not names:
        why = (
            "; ".join(f"{side}: {reason}" for side, reason in reasons.items()) or "no run reported one that can be read"
        )
        return Reported(values, problem=f"no benchmark could be compared: {why}", verdict=Verdict.BROKEN)
    if values[names[0]][0].count(None) == len(values[names[0]][0]):  # base has none: all of them are new
        return Reported(values, only_on_head=names)
    why = reasons.get("head", "head reports none")
    return Reported(
        values, only_on_base=names, problem=f"head reports no benchmark, base {len(names)}: {why}", verdict=Verdict.FAIL
    )


def _failed(
    name: str, columns: tuple[Column, Column], unread: Sequence[Mapping[str, str]], lost: Sequence[set[int]]
) -> FailedBenchmark | None:
    """A benchmark that is missing where its run's file of results was read. Of both sides, head is named."""
    missing = [
        sum(value is None for number, value in enumerate(column) if number not in gone)
        for column, gone in zip(columns, lost, strict=True)
    ]
    of = len(columns[0])
    if not any(missing):
        return None
    if missing[1]:
        why = unread[1].get(name, "it was not reported")
        never = missing[1] + len(lost[1]) == of
        verdict = Verdict.PASS if missing[0] else Verdict.FAIL if never else Verdict.WARN
        return FailedBenchmark(name, "base and head" if missing[0] else "head", missing[1], of, why, verdict)
    return FailedBenchmark(name, "base", missing[0], of, unread[0].get(name, "it was not reported"), Verdict.PASS)


def limit(name: str, limits: Sequence[tuple[str, Metric]]) -> Metric:
    """What a benchmark is held to: by its own name, else by the first glob that matches; a `*` matches a `/`, too."""
    for glob, metric in limits:
        if glob == name:
            return metric
    for glob, metric in limits:
        if compile_glob(glob.replace("/", _SLASH)).fullmatch(name.replace("/", _SLASH)):
            return metric
    return USUAL_BENCHMARK


def renamed(gone: Sequence[str], new: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of an old and a new name that are nearest to each other, and near."""
    if not gone or not new or max(len(gone), len(new)) > _MOST:
        return ()
    return tuple((old, name) for old in gone if (name := _nearest(old, new)) and _nearest(name, gone) == old)


def _nearest(name: str, among: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, among, n=1, cutoff=_ALIKE)), "")


# In words; names are not escaped yet


MOST = 10  # that are named one by one
_LISTED = 5  # names in one line
_FEW = 3  # names, and pairs from which on a change is worth one
_LARGE = 0.1  # a change that is worth a mention though it is not certain
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
    parts = [] if one.low is None or one.high is None else [words.interval(one)]
    if one.base is not None and one.head is not None:
        parts.append(f"{duration(one.base)} -> {duration(one.head)}")
    return f"benchmark {called(one.name)}{verb} {words.percent(one.estimate)} ({'; '.join(parts)})"


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
    if (others := rest(named)) and not named.verdict is verdict is Verdict.INCONCLUSIVE:
        yield others
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


def facts(named: BenchmarkJudgement | None) -> dict[str, object]:
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


def _plain(one: Compared) -> dict[str, object]:
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


def row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Cells of a table, as those of `words.row`, from what `facts` says of a benchmark."""
    low, high = one["low"], one["high"]
    interval = words.UNKNOWN if low is None or high is None else f"{words.percent(low)} to {words.percent(high)}"
    values = (words.UNKNOWN if one[side] is None else duration(one[side]) for side in ("base", "head"))
    probably = one["answer"] == Answer.PROBABLY_SLOWER.value
    outcome = "probably slower" if probably else str(one["verdict"])
    return (f"benchmark {called(one['name'])}", *values, words.percent(one["change"]), interval, outcome)
