"""A measurement in the formats of other tools: Bencher's, and the one of Go that benchstat reads."""

from __future__ import annotations

import json
import re
from statistics import median, quantiles
from typing import TYPE_CHECKING

from orchgate.speed.formats.bmf import THROUGHPUT
from orchgate.verdict.values import BENCHMARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.speed.measurement import Measurement

_WHOLE = " (whole run)"  # behind what was run, where a benchmark has its name
_GO = re.compile(r"(\S+)\.(Benchmark\S*)")
# Of whole runs: the metric, Bencher's measure, its unit in ours, and the unit for benchstat.
_OF_RUNS = (
    ("wall_seconds", "latency", 1e9, "ns/op"),
    ("cpu_seconds", "cpu-time", 1e9, "user+sys-ns/op"),
    ("max_rss_bytes", "max-rss", 1.0, "peak-RSS-bytes"),
)


def bencher(measurement: Measurement, subject: str) -> bytes:
    """Bencher's metric format: medians of head with their quartiles; times in nanoseconds, memory in bytes."""
    runs = [pair.head for pair in measurement.pairs]
    measures: dict[str, dict[str, dict[str, float]]] = {}
    for name in _benchmarks(runs):
        values = [run[BENCHMARK + name] for run in runs if BENCHMARK + name in run]
        if name.endswith(THROUGHPUT):
            measures.setdefault(name.removesuffix(THROUGHPUT), {})["throughput"] = _summary([1 / one for one in values])
        else:
            measures.setdefault(name, {})["latency"] = _summary([one * 1e9 for one in values])
    whole = {
        measure: _summary([run[name] * unit for run in runs if name in run])
        for name, measure, unit, _ in _OF_RUNS
        if any(name in run for run in runs)
    }
    measures = {subject + _WHOLE * (subject in measures): whole, **measures}
    return json.dumps(measures, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _benchmarks(runs: Sequence[Mapping[str, float]]) -> list[str]:
    return sorted({name.removeprefix(BENCHMARK) for run in runs for name in run if name.startswith(BENCHMARK)})


def _summary(values: Sequence[float]) -> dict[str, float]:
    lower, _, upper = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    named = {"value": median(values), "lower_value": lower, "upper_value": upper}
    return {name: float(f"{value:.9g}") for name, value in named.items()}


def benchstat(measurement: Measurement, subject: str) -> tuple[bytes, bytes]:
    """What benchstat compares, base's and head's: each benchmark of each run a line, the whole run before them."""
    sides = [pair.base for pair in measurement.pairs], [pair.head for pair in measurement.pairs]
    names = _benchmarks([*sides[0], *sides[1]])
    base, head = ("".join(_text(runs, names, subject)).encode("utf-8", "replace") for runs in sides)
    return base, head


def _text(runs: Sequence[Mapping[str, float]], names: Sequence[str], subject: str) -> Iterator[str]:
    for run in runs:
        told = [f"{run[metric] * unit:.9g} {go}" for metric, _, unit, go in _OF_RUNS if metric in run]
        yield from [f"{_called(subject)} 1 {' '.join(told)}\n"] if told else []
    package = ""
    for name in names:
        found = _GO.fullmatch(name)
        if (of := found[1] if found else "") != package:
            yield f"pkg: {of}\n"
            package = of
        called = found[2] if found else _called(name)
        yield from (f"{called} 1 {run[BENCHMARK + name] * 1e9:.9g} ns/op\n" for run in runs if BENCHMARK + name in run)


def _called(name: str) -> str:
    """A name as Go's would be: one word."""
    return "Benchmark" + "_".join(name.split())
