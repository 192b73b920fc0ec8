"""Recorded samples as JSON Lines: one run of one arm a line, any number of streams, in any order.

`{"stream": s, "pair": n, "arm": "base"|"head", "order": 0|1, "metrics": {"cpu_seconds": x, …}}`; order 0 ran first.
`lower_bounds` may say which of them are such, and why: `{"cpu_seconds": "a child left its session"}`; `unread` which
benchmarks have no value. Other keys are ignored. The metric `benchmark:NAME` holds the seconds of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.verdict.values import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LINE = 2 * 1024 * 1024  # bytes; what a run of thousands of benchmarks takes
MAX_LINES = 1_000_000
HINT = '{"stream": "…", "pair": 0, "arm": "base", "order": 0, "metrics": {"cpu_seconds": 0.12}}'


class _Run(NamedTuple):
    stream: str
    pair: int
    arm: str
    order: int
    metrics: dict[str, float]
    bounds: dict[str, str]
    unread: dict[str, str]


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
    )


def _reasons(read: Mapping[str, object], key: str, number: int) -> dict[str, str]:
    reasons = read.get(key, {})
    if not isinstance(reasons, dict) or not all(isinstance(why, str) for why in reasons.values()):
        raise _error(number, f"'{key}' is no object of reasons by metric")
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
    head_first = head.order < base.order
    return Pair(base.metrics, head.metrics, head_first, base.bounds, head.bounds, base.unread, head.unread)


def _error(number: int, what: str) -> OrchgateError:
    return OrchgateError(f"line {number}: {what}", f"one run a line: {HINT}")
