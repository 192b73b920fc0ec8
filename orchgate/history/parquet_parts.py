"""Segments as parts of Parquet: the format, as a store takes it."""

from __future__ import annotations

import os
import tempfile

from orchgate.history.parquet import connected, written
from orchgate.history.parquet_rows import lines_of
from orchgate.history.segments import MOST_RUNS, SPLIT_BYTES, Limits, SegmentFault, SegmentFormat, parse
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.errors import OrchgateError
    from orchgate.history.segments import HistorySegment

SUFFIX = ".parquet"
JOINED = Limits(50_000, 128 << 20)


def parsed(contents: Iterable[tuple[str, bytes | OrchgateError]]) -> Iterator[HistorySegment | SegmentFault]:
    """Segments of parts."""
    for name, content in contents:
        if not isinstance(content, bytes):
            yield SegmentFault(name, content.message)
            continue
        with tempfile.TemporaryDirectory(prefix="orchgate-") as folder:
            path = os.path.join(folder, "part")
            with open(path, "wb") as file:
                file.write(content)
            with connected(folder) as database:
                lines = lines_of(database, path)
        yield SegmentFault(name, lines) if isinstance(lines, str) else parse(name, lines, JOINED.runs)


PARQUET = SegmentFormat(SUFFIX, Limits(MOST_RUNS, SPLIT_BYTES), JOINED, written, parsed)
