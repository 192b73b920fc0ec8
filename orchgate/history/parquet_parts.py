"""Segments as parts of Parquet: the format, as a store takes it."""

from __future__ import annotations

import contextlib
import os
import tempfile

from orchgate.history.parquet import connected, written
from orchgate.history.parquet_rows import lines_of
from orchgate.history.segments import MOST_RUNS, SPLIT_BYTES, Limits, SegmentFault, SegmentFormat, parse
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

    from orchgate.errors import OrchgateError
    from orchgate.history.segments import HistorySegment

SUFFIX = ".parquet"
JOINED = Limits(50_000, 128 << 20)


def parsed(contents: Iterable[tuple[str, bytes | OrchgateError]]) -> Iterator[HistorySegment | SegmentFault]:
    """Segments of parts. Making a database takes longer than a small part: they share one as long as it works."""
    with contextlib.ExitStack() as opened:
        database: DuckDBPyConnection | None = None
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="orchgate-"))
        for number, (name, content) in enumerate(contents):
            if not isinstance(content, bytes):
                yield SegmentFault(name, content.message)
                continue
            database = database or opened.enter_context(connected(folder))
            lines = _lines_of(database, os.path.join(folder, f"part-{number}"), content)  # it remembers files by name
            if isinstance(lines, str):
                database = None  # what is hostile may have broken it
                yield SegmentFault(name, lines)
            else:
                yield parse(name, lines, JOINED.runs)


def _lines_of(database: DuckDBPyConnection, path: str, content: bytes) -> bytes | str:
    with open(path, "wb") as file:
        file.write(content)
    try:
        return lines_of(database, path)
    finally:
        os.unlink(path)


PARQUET = SegmentFormat(SUFFIX, Limits(MOST_RUNS, SPLIT_BYTES), JOINED, written, parsed)
