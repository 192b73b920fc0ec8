"""Formats of benchmark results: what pytest-benchmark, hyperfine, go, Bencher and criterion write, as seconds by name.

The files are written by other people's tools under the control of what is judged: they may be torn, hostile or absurd.
"""

from __future__ import annotations

import re
from collections import Counter

from orchgate.errors import OrchgateError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

MOST = 5_000  # benchmarks
LONGEST_NAME = 500
LARGEST = 16 * 1024 * 1024  # bytes of JSON, what no reader needs left out
_NANOSECONDS = 1e-9
_LARGEST_NUMBER = 1e300


# What every format is read into


class FormatError(OrchgateError):
    """The file is not what it is said to be. The message goes on from its path: "is empty"."""


class Failed(NamedTuple):
    """Stands for the time of a benchmark that has none."""

    why: str


class Times(NamedTuple):
    """Seconds by benchmark, and for those that cannot be compared why."""

    seconds: dict[str, float]
    failed: dict[str, str]


def gathered(entries: Iterable[tuple[object, object]], *, least: bool = False) -> Times:
    """The times of benchmarks that come as name and seconds. With `least`, the least counts of several.

    Raises FormatError where there is none, or more than MOST.
    """
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, value in entries:
        shown, problem = _name(name)
        problem = problem or _problem(value)
        if problem:
            failed.setdefault(shown, problem)
        elif shown not in seconds:
            seconds[shown] = float(value)  # type: ignore[arg-type]  # _problem has seen to it
        elif least:
            seconds[shown] = min(seconds[shown], float(value))  # type: ignore[arg-type]
        else:
            failed.setdefault(shown, "the name occurs twice")
        if len(seconds) + len(failed) > MOST:
            raise FormatError(f"holds more than {MOST} benchmarks")
    if not seconds and not failed:
        raise FormatError("holds no benchmark")
    return Times({name: value for name, value in seconds.items() if name not in failed}, failed)


def nanoseconds(value: object) -> object:
    """A number of nanoseconds in seconds; anything else as it is, to be refused by its kind."""
    if _is_number(value) and abs(value) <= _LARGEST_NUMBER:  # type: ignore[arg-type]
        return value * _NANOSECONDS  # type: ignore[operator]
    return value


def document(content: bytes, **hooks: Any) -> Any:
    """A JSON document. Raises FormatError."""
    from orchgate.lib import json_data

    if not content.strip():
        raise FormatError("is empty")
    if len(content) > LARGEST:
        raise FormatError(f"is longer than {LARGEST} bytes")
    try:
        return json_data.parse(content.decode("utf-8-sig"), **hooks)
    except UnicodeDecodeError as error:
        raise FormatError("is not UTF-8") from error
    except json_data.TooDeepError as error:
        raise FormatError("is nested too deep") from error
    except ValueError as error:  # not JSON, or an integer of thousands of digits
        raise FormatError(f"is not JSON, or cut off: {str(error)[:100]}") from error


def table(value: object, key: str, what: str) -> Any:
    """An entry of an object. Raises FormatError, which names `what` writes it, where either is not there."""
    if not isinstance(value, dict) or key not in value:
        raise FormatError(f'has no "{key}": it was not written by {what}')
    return value[key]


def _name(name: object) -> tuple[str, str]:
    """A name as it can be shown, and what is wrong with it."""
    if not isinstance(name, str):
        return ascii(name)[:80], "the name is not a string"
    if len(name) > LONGEST_NAME:
        return f"{name[:60]}…", f"the name has {len(name)} characters, limit {LONGEST_NAME}"
    if not name.strip() or not name.isprintable():
        return ascii(name)[1:-1], "the name is empty or holds control characters"
    return name, ""


def _problem(value: object) -> str:
    if isinstance(value, Failed):
        return value.why
    if not _is_number(value):
        return f"its time is {_kind(value)}, not a number"
    if not abs(value) <= _LARGEST_NUMBER:  # type: ignore[arg-type]  # NaN and the infinities are not, either
        return f"its time is {str(value)[:40]}"
    return "" if value > 0 else f"its time is {str(value)[:40]}"  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    kinds = {bool: "true or false", str: "a string", list: "an array", dict: "an object"}
    return kinds.get(type(value), "missing")


# pytest --benchmark-json=FILE: the least of a benchmark's rounds, the one that was disturbed least


_PYTEST = "pytest --benchmark-json"
# Every single round is in the file, which makes nearly all of it. Inside a string each quote would have a backslash.
_ROUNDS = re.compile(rb'"data"\s*:\s*\[[^\[\]"]*\]')


def without_rounds(content: bytes) -> bytes:
    """A document without what makes it large; any other as it is."""
    return _ROUNDS.sub(b'"data":[]', content) if b'"data"' in content else content


def read_pytest(content: bytes) -> Times:
    """Seconds by full name. Raises FormatError."""
    listed = table(document(without_rounds(content)), "benchmarks", _PYTEST)
    if not isinstance(listed, list):
        raise FormatError(f'"benchmarks" is not an array: it was not written by {_PYTEST}')
    return gathered(_pytest_entries(listed))


def _pytest_entries(listed: list[object]) -> Iterator[tuple[object, object]]:
    for one in listed:
        if not isinstance(one, dict):
            raise FormatError(f"holds a benchmark that is not an object: it was not written by {_PYTEST}")
        stats = one.get("stats")
        name = one.get("fullname", one.get("name"))
        yield name, stats.get("min") if isinstance(stats, dict) else Failed("it has no statistics")


# hyperfine --export-json FILE: the least of a command's runs; one that failed, as `-i` allows, has no time


_HYPERFINE = "hyperfine --export-json"


def read_hyperfine(content: bytes) -> Times:
    """Seconds by command, with its parameters where it stands there more than once. Raises FormatError."""
    listed = table(document(content), "results", _HYPERFINE)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f'"results" is not an array of objects: it was not written by {_HYPERFINE}')
    return gathered(_hyperfine_entries(listed))


def _hyperfine_entries(listed: list[Mapping[str, object]]) -> Iterator[tuple[object, object]]:
    times = Counter(str(one.get("command")) for one in listed)
    for one in listed:
        name, parameters = one.get("command"), one.get("parameters")
        if times[str(name)] > 1 and isinstance(parameters, dict):
            name = f"{name} ({', '.join(f'{key}={value}' for key, value in parameters.items())})"
        codes = one.get("exit_codes")
        bad = [code for code in codes if code != 0] if isinstance(codes, list) else []
        yield name, Failed(_hyperfine_ended(bad[0], len(bad))) if bad else one.get("min")


def _hyperfine_ended(code: object, runs: int) -> str:
    how = f"exit {code}" if isinstance(code, int) else "ended by a signal"
    return f"{how} in {counted(runs, 'run')}"


# go test -bench: nanoseconds per operation, the least of several with `-count`
# https://golang.org/design/14313-benchmark-format


_GO_UNITS = ("ns/op", "sec/op")
_GO_PROCESSORS = re.compile(r"-\d+\Z")  # what GOMAXPROCS was, behind each name; a line about a failure does without


def read_go(content: bytes) -> Times:
    """Seconds by the name that is printed, behind its package. Raises FormatError."""
    text = content.decode("utf-8", "replace")
    if not text.strip():
        raise FormatError("is empty")
    if text.lstrip().startswith('{"'):
        raise FormatError("is JSON: what `go test -bench` prints without -json is read")
    return gathered(_go_entries(text.split("\n")), least=True)


def _go_entries(lines: list[str]) -> Iterator[tuple[object, object]]:
    package, processors = "", ""
    for line in lines:
        fields = line.split()
        if line.startswith("pkg:"):
            package = f"{line[4:].strip()}."
        elif line.startswith("Benchmark") and len(fields) > 1:
            found = _GO_PROCESSORS.search(fields[0])
            processors = found[0] if found else processors
            time = _go_time(fields)
            if found or not isinstance(time, Failed):  # or it is prose
                yield package + fields[0], time
        elif line.startswith("--- FAIL: Benchmark"):
            yield package + fields[2] + processors, Failed("it failed")


def _go_time(fields: list[str]) -> object:
    """What stands before its unit. `Name-2  1000  12.5 ns/op  3 B/op`."""
    if not fields[1].isdecimal():
        return Failed("other output broke its line")
    for value, unit in zip(fields[2::2], fields[3::2], strict=False):
        if unit in _GO_UNITS:
            try:
                number = float(value)
            except ValueError:
                return Failed("its time is not a number")
            return nanoseconds(number) if unit == "ns/op" else number
    return Failed("no ns/op on its line")


# Bencher's metric format: latencies in nanoseconds, and throughputs in operations a second as the time of one;
# other measures have no direction that is known. https://bencher.dev/docs/reference/bencher-metric-format


THROUGHPUT = " (throughput)"


class _JsonPairs(list[tuple[str, object]]):
    """An object as it was written, so that a name which stands there twice is seen."""


def read_bencher(content: bytes) -> Times:
    """Seconds by benchmark; the name of a throughput says so. Raises FormatError."""
    found = document(content, object_pairs_hook=_JsonPairs)
    if not isinstance(found, _JsonPairs) or not all(isinstance(measures, _JsonPairs) for _, measures in found):
        raise FormatError("is not an object of measures by benchmark: it is not in Bencher's metric format")
    return gathered(_bencher_entries(found))


def _bencher_entries(found: _JsonPairs) -> Iterator[tuple[object, object]]:
    for name, listed in found:
        assert isinstance(listed, _JsonPairs)
        measures = dict(listed)
        known = {"latency", "throughput"} & measures.keys()
        if not known:
            yield name, Failed("it has neither latency nor throughput")
        if "latency" in known:
            yield name, nanoseconds(_bencher_value(measures["latency"]))
        if "throughput" in known:
            yield name + THROUGHPUT, _inverse(_bencher_value(measures["throughput"]))


def _bencher_value(measure: object) -> object:
    return dict(measure).get("value") if isinstance(measure, _JsonPairs) else Failed("its measure is not an object")


def _inverse(value: object) -> object:
    """The seconds of one operation."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 1e-300 < value < 1e300:
        return Failed(f"its throughput is {str(value)[:40]}")
    return 1.0 / value


# criterion's folder, target/criterion: the median of each benchmark's new/estimates.json, in nanoseconds


_CRITERION_TAIL = "/new/estimates.json"


def read_criterion(files: Mapping[str, bytes]) -> Times:
    """Seconds by the folder of a benchmark, from what files hold, by their path in criterion's. Raises FormatError."""
    return gathered(_criterion_entries(files))


def _criterion_entries(files: Mapping[str, bytes]) -> Iterator[tuple[object, object]]:
    for path, content in sorted(files.items()):
        yield path.removesuffix(_CRITERION_TAIL), _median(content)


def _median(content: bytes) -> object:
    try:
        found = document(content)
    except FormatError as error:
        return Failed(f"estimates.json {error.message}")
    median = found.get("median") if isinstance(found, dict) else None
    if not isinstance(median, dict):
        return Failed("estimates.json has no median")
    return nanoseconds(median.get("point_estimate"))


READERS = {"pytest-benchmark": read_pytest, "hyperfine": read_hyperfine, "go": read_go, "bmf": read_bencher}
