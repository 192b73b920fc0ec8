"""`pytest --benchmark-json=FILE`: the least of a benchmark's rounds, the one that was disturbed least."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.speed.formats.times import Failed, FormatError, document, gathered, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.speed.formats.times import Times

WRITER = "pytest --benchmark-json"
# Every single round is in the file, which makes nearly all of it. Inside a string each quote would have a backslash.
_ROUNDS = re.compile(rb'"data"\s*:\s*\[[^\[\]"]*\]')


def read(content: bytes) -> Times:
    """Seconds by full name. Raises FormatError."""
    listed = table(document(_ROUNDS.sub(b'"data":[]', content)), "benchmarks", WRITER)
    if not isinstance(listed, list):
        raise FormatError(f'"benchmarks" is no array: it was not written by {WRITER}')
    return gathered(_entries(listed))


def _entries(listed: list[object]) -> Iterator[tuple[object, object]]:
    for one in listed:
        if not isinstance(one, dict):
            raise FormatError(f"holds a benchmark that is no object: it was not written by {WRITER}")
        stats = one.get("stats")
        name = one.get("fullname", one.get("name"))
        yield name, stats.get("min") if isinstance(stats, dict) else Failed("it has no statistics")
