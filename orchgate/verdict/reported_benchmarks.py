"""Which benchmarks the runs reported, which of them only one side has, and which limits apply to a name."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.globs import compile_glob
from orchgate.model import Verdict
from orchgate.verdict.samples import succeeded
from orchgate.verdict.values import BENCHMARK, RESULTS, USUAL_BENCHMARK, FailedBenchmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.verdict.values import Metric, Pair

Column = tuple[float | None, ...]  # seconds, pair by pair
_MOST = 30  # names of a side; with more, comparing each with each takes seconds and tells nothing
_ALIKE = 0.6
_SLASH = "\0"  # in no name


class Reported(NamedTuple):
    """Benchmarks without BENCHMARK before their names. `values` are base's and head's; `problem` says why one side has
    nothing at all that the other could be compared with, and `verdict` what that is to head.
    """

    values: Mapping[str, tuple[Column, Column]]
    common: tuple[str, ...] = ()
    only_on_base: tuple[str, ...] = ()
    only_on_head: tuple[str, ...] = ()
    failed: tuple[FailedBenchmark, ...] = ()
    problem: str = ""
    verdict: Verdict = Verdict.PASS


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
    said = {one.side: one.why for one in whole}
    if not names:
        why = "; ".join(f"{side}: {reason}" for side, reason in said.items()) or "no run reported one that can be read"
        return Reported(values, problem=f"no benchmark could be compared: {why}", verdict=Verdict.BROKEN)
    if values[names[0]][0].count(None) == len(values[names[0]][0]):  # base has none: all of them are new
        return Reported(values, only_on_head=names)
    why = said.get("head", "head reports none")
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
