"""What is kept of a measurement: samples as JSON Lines, as Bencher and benchstat read them; and the judgement."""

from __future__ import annotations

import contextlib
import json
import os
import re
from math import isfinite
from statistics import median, quantiles

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.result_files.benchmark_formats import THROUGHPUT
from orchgate.speed import measurements
from orchgate.verdict.values import BENCHMARK, Compared, ComparedCounter, Pair, plain, restored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.speed.measurements import Measurement
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Judgement, Policy


MAX_LINE = 2 * 1024 * 1024  # bytes; what a run of thousands of benchmarks takes
MAX_LINES = 1_000_000
HINT = '{"stream": "…", "pair": 0, "arm": "base", "order": 0, "metrics": {"cpu_seconds": 0.12}}'
LONGEST_LINE = MAX_LINE - 1  # bytes of a line; where stages make it longer it goes without them, and so with benchmarks
LEFT_OUT = "left_out"
RAN_ON = "ran_on"  # the machine of a pair, where there were several
_STAGE = ("cpu_seconds", "wall_seconds", "max_rss_bytes")
_WHOLE = " (whole run)"  # behind what was run, where a benchmark has its name
_GO = re.compile(r"(\S+)\.(Benchmark\S*)")
# Of whole runs: the metric, Bencher's measure, its unit in ours, and the unit for benchstat.
_OF_RUNS = (
    ("wall_seconds", "latency", 1e9, "ns/op"),
    ("cpu_seconds", "cpu-time", 1e9, "user+sys-ns/op"),
    ("max_rss_bytes", "max-rss", 1.0, "peak-RSS-bytes"),
)


class _Run(NamedTuple):
    stream: str
    pair: int
    arm: str
    order: int
    metrics: dict[str, float]
    bounds: dict[str, str]
    unread: dict[str, str]
    machine: str


def read_streams(lines: Iterable[bytes]) -> dict[str, list[Pair]]:
    """The pairs of every stream, in the order of their numbers. Raises OrchgateError with the number of the line."""
    runs: dict[str, dict[int, dict[str, _Run]]] = {}
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES:
            raise _error(number, f"more than {MAX_LINES} lines")
        if not line.strip():
            continue
        run = _run(line, number)
        arms = runs.setdefault(run.stream, {}).setdefault(run.pair, {})
        if run.arm in arms:
            raise _error(number, f"{run.arm} of pair {run.pair} of stream {run.stream!r} a second time")
        arms[run.arm] = run
    if not runs:
        raise OrchgateError("no samples", f"one run a line: {HINT}")
    return {
        stream: [_pair(stream, number, pairs[number]) for number in sorted(pairs)] for stream, pairs in runs.items()
    }


def _run(line: bytes, number: int) -> _Run:
    import json

    if len(line) > MAX_LINE:
        raise _error(number, f"longer than {MAX_LINE} bytes")
    try:
        read: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _error(number, f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise _error(number, "not an object")
    for key, kinds in (("stream", (str,)), ("pair", (int,)), ("arm", (str,)), ("order", (int,)), ("metrics", (dict,))):
        if key not in read:
            raise _error(number, f"no {key!r}")
        if type(read[key]) not in kinds:
            raise _error(number, f"{key!r} is {type(read[key]).__name__}")
    if read["arm"] not in {"base", "head"}:
        raise _error(number, f"'arm' is {read['arm'][:40]!r}, neither 'base' nor 'head'")
    if read["order"] not in {0, 1}:
        raise _error(number, f"'order' is {read['order']}, neither 0 nor 1")
    return _Run(
        read["stream"],
        read["pair"],
        read["arm"],
        read["order"],
        _numbers(read["metrics"], number),
        _reasons(read, "lower_bounds", number),
        _reasons(read, "unread", number),
        _machine(read, number),
    )


def _machine(read: Mapping[str, object], number: int) -> str:
    machine = read.get(RAN_ON, "")
    if not isinstance(machine, str):
        raise _error(number, f"{RAN_ON!r} is {type(machine).__name__}")
    return machine


def _reasons(read: Mapping[str, object], key: str, number: int) -> dict[str, str]:
    reasons = read.get(key, {})
    if not isinstance(reasons, dict) or not all(isinstance(why, str) for why in reasons.values()):
        raise _error(number, f"'{key}' is not an object of reasons by metric")
    return reasons


def _numbers(metrics: Mapping[str, object], number: int) -> dict[str, float]:
    """The metrics as floats. NaN and infinities are left to the comparison, which names their pair."""
    numbers = {}
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _error(number, f"metric {name[:80]!r} is {type(value).__name__}, not a number")
        try:
            numbers[name] = float(value)
        except OverflowError as error:
            raise _error(number, f"metric {name[:80]!r} is too large a number") from error
    return numbers


def _pair(stream: str, number: int, arms: Mapping[str, _Run]) -> Pair:
    for arm in ("base", "head"):
        if arm not in arms:
            raise OrchgateError(f"stream {stream!r}: pair {number} has no {arm}", "each pair is one run of each arm")
    base, head = arms["base"], arms["head"]
    if base.order == head.order:
        raise OrchgateError(f"stream {stream!r}: both runs of pair {number} have order {base.order}", "0 ran first")
    if base.machine != head.machine:
        raise OrchgateError(f"stream {stream!r}: the runs of pair {number} are of two machines", "a pair runs on one")
    head_first = head.order < base.order
    return Pair(
        base.metrics, head.metrics, head_first, base.bounds, head.bounds, base.unread, head.unread, base.machine
    )


def _error(number: int, what: str) -> OrchgateError:
    return OrchgateError(f"line {number}: {what}", f"one run a line: {HINT}")


def encoded_samples(stream: str, sides: tuple[Side, Side], measurement: Measurement) -> bytes:
    """One line for each run that was judged."""
    return b"".join(_lines(stream, sides, measurement))


def _lines(stream: str, sides: tuple[Side, Side], measurement: Measurement) -> Iterator[bytes]:
    import json

    for number, (pair, samples) in enumerate(zip(measurement.pairs, measurement.samples, strict=True)):
        for arm in (1, 0) if pair.head_first else (0, 1):
            side, ran = sides[arm], samples[arm]
            line = {"stream": stream, "pair": number, "arm": side.label, "order": arm ^ pair.head_first}
            line |= {"metrics": dict((pair.base, pair.head)[arm]), "commit": side.commit, "tree": side.tree}
            line |= {RAN_ON: pair.machine} if pair.machine else {}
            line |= {"lower_bounds": dict(ran.lower_bounds)} if ran.lower_bounds else {}
            line |= {"unread": dict(ran.unread)} if ran.unread else {}
            stages = {name: {key: cost[key] for key in _STAGE if key in cost} for name, cost in ran.stages.items()}
            whole = json.dumps({**line, "stages": stages}, separators=(",", ":")).encode("ascii")
            if len(whole) > LONGEST_LINE:
                whole = json.dumps(line, separators=(",", ":")).encode("ascii")
            if len(whole) > LONGEST_LINE:
                whole = json.dumps(_without_benchmarks(line), separators=(",", ":")).encode("ascii")
            yield whole + b"\n"


def _without_benchmarks(line: Mapping[str, Any]) -> dict[str, object]:
    metrics = {name: value for name, value in line["metrics"].items() if not name.startswith(BENCHMARK)}
    gone = len(line["metrics"]) - len(metrics)
    return {**line, "metrics": metrics, "unread": {}, LEFT_OUT: f"{gone} benchmarks, longer than {LONGEST_LINE} bytes"}


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
        values = [f"{run[metric] * unit:.9g} {go}" for metric, _, unit, go in _OF_RUNS if metric in run]
        yield from [f"{_called(subject)} 1 {' '.join(values)}\n"] if values else []
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


# What `orchgate perf` and pushes keep of a measurement in the repository: its samples, and how they were judged.
#
# The judgement is kept because the samples alone do not hold all that it rests on: which policy judged them, and for
# how long a run waited for a CPU. Whoever shows the measurement later shows that judgement, and not one of its own.


MOST = 50  # measurements
SAMPLES, VERDICT = ".jsonl", ".verdict.json"
_VERSION = 1
_MOST_BYTES = 4 << 20
_MOST_LINES = 200  # of what was said


class RecordedVerdict(NamedTuple):
    """A judgement as it was printed: `said` are its lines, the most important first; `limits` are signed fractions."""

    verdict: Verdict
    said: tuple[str, ...]
    results: tuple[Compared | ComparedCounter, ...]
    limits: Mapping[str, float]


def keep(common_dir: str, name: str, samples: bytes, verdict: bytes) -> str:
    """Keeps both in place of the oldest ones; where the samples are. Raises WriteError."""
    folder = os.path.join(common_dir, "orchgate", "perf")
    files.make_folders(folder)
    path = os.path.join(folder, name + SAMPLES)
    files.replace(os.path.join(folder, name + VERDICT), verdict)
    files.replace(path, samples)
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder))
        for kind in (SAMPLES, VERDICT):
            for old in [found for found in names if found.endswith(kind)][:-MOST]:
                os.unlink(os.path.join(folder, old))
    return path


def encoded(measurement: Measurement, policy: Policy) -> bytes:
    judgement = measurement.judgement
    document = {
        "kept-verdict": _VERSION,
        "verdict": judgement.verdict.value,
        "said": list(measurements.lines(measurement))[:_MOST_LINES],
        "results": [plain(one) for one in results(judgement)],
        "limits": limits(judgement, policy),
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def results(judgement: Judgement) -> list[Compared | ComparedCounter]:
    named = judgement.benchmarks.judged if judgement.benchmarks else ()
    return [*judgement.metrics, *judgement.counters, *named]


def limits(judgement: Judgement, policy: Policy) -> dict[str, float]:
    """From which change on each result is refused, downwards where less is worse."""
    found = {}
    for one in results(judgement):
        if limit := policy.metrics.get(one.name):
            found[one.name] = limit.block if limit.more_is_worse else -limit.block
    return found


def read(path: str) -> RecordedVerdict | None:
    """The judgement beside the samples at `path`; None where an earlier version kept none. Raises OrchgateError."""
    try:
        data = files.read(path.removesuffix(SAMPLES) + VERDICT, _MOST_BYTES, follow=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OrchgateError(f"its verdict cannot be read: {error.strerror or 'not a regular file'}") from error
    try:
        return _restored(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise OrchgateError("its verdict cannot be read: not what `orchgate perf` writes") from error


def _restored(document: Any) -> RecordedVerdict:
    if document["kept-verdict"] != _VERSION:
        raise OrchgateError("its verdict cannot be read: another version of orchgate wrote it")
    return RecordedVerdict(
        Verdict(document["verdict"]),
        tuple(str(line) for line in document["said"][:_MOST_LINES]),
        tuple(_checked(one) for one in document["results"]),
        {str(name): float(limit) for name, limit in document["limits"].items() if isfinite(limit)},
    )


def _checked(fields: Mapping[str, Any]) -> Compared | ComparedCounter:
    """Raises ValueError, KeyError, TypeError."""
    found = restored(fields)
    numbers: list[object] = [found.base, found.head]
    numbers += [found.estimate, found.low, found.high] if isinstance(found, Compared) else []
    if not all(one is None or (isinstance(one, int | float) and isfinite(one)) for one in numbers):
        raise ValueError
    return found._replace(name=found.name.removeprefix(BENCHMARK))
