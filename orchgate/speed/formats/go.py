"""What `go test -bench` prints: nanoseconds per operation, the least of several with `-count`.

The format: https://golang.org/design/14313-benchmark-format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.speed.formats.times import Failed, FormatError, gathered, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.speed.formats.times import Times

_UNITS = ("ns/op", "sec/op")
_PROCESSORS = re.compile(r"-\d+\Z")  # what GOMAXPROCS was, behind each name; a line about a failure does without


def read(content: bytes) -> Times:
    """Seconds by the name that is printed, behind its package. Raises FormatError."""
    text = content.decode("utf-8", "replace")
    if not text.strip():
        raise FormatError("is empty")
    if text.lstrip().startswith('{"'):
        raise FormatError("is JSON: what `go test -bench` prints without -json is read")
    return gathered(_entries(text.split("\n")), least=True)


def _entries(lines: list[str]) -> Iterator[tuple[object, object]]:
    package, processors = "", ""
    for line in lines:
        words = line.split()
        if line.startswith("pkg:"):
            package = f"{line[4:].strip()}."
        elif line.startswith("Benchmark") and len(words) > 1:
            found = _PROCESSORS.search(words[0])
            processors = found[0] if found else processors
            time = _time(words)
            if found or not isinstance(time, Failed):  # or it is prose
                yield package + words[0], time
        elif line.startswith("--- FAIL: Benchmark"):
            yield package + words[2] + processors, Failed("it failed")


def _time(words: list[str]) -> object:
    """What stands before its unit. `Name-2  1000  12.5 ns/op  3 B/op`."""
    if not words[1].isdecimal():
        return Failed("other output broke its line")
    for value, unit in zip(words[2::2], words[3::2], strict=False):
        if unit in _UNITS:
            try:
                number = float(value)
            except ValueError:
                return Failed("its time is not a number")
            return nanoseconds(number) if unit == "ns/op" else number
    return Failed("no ns/op on its line")
