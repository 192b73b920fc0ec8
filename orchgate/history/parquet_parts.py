"""Segments as parts of Parquet: the format, as a store takes it.

Anybody may have written a part, and what decodes it is a large library in C++. So that happens in a process of its own,
which sees one folder, has bounds of time and memory, and hands back lines that are read as those of any segment. A
part that ends the process has a name, and the others count.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from orchgate.errors import OrchgateError
from orchgate.history.parquet import ROOM, scratch, written
from orchgate.history.parquet_rows import LENGTH, LINES
from orchgate.history.segments import MOST_RUNS, SPLIT_BYTES, SegmentFault, SegmentFormat, SegmentLimits, parse
from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

    from orchgate.history.segments import HistorySegment
    from orchgate.lib.process import Child

SUFFIX = ".parquet"
JOINED = SegmentLimits(50_000, 128 << 20)


class PartReader:
    """A process that makes lines of parts, one after the other; another one where it ended at one."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._child: Child | subprocess.Popen[bytes] | None = None
        self._asked = 0

    def lines_of(self, content: bytes) -> bytes | str:
        """Lines, or why there are none. Raises OrchgateError."""
        self._asked += 1
        path = os.path.join(self._folder, f"part-{self._asked}")  # DuckDB remembers what it knows of a name
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError as error:
            raise OrchgateError(f"cannot write {path}: {error.strerror}", ROOM) from error
        try:
            return self._answer(os.path.basename(path))
        finally:
            os.unlink(path)

    def _answer(self, name: str) -> bytes | str:
        child = self._child = self._child or self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(f"{name}\n".encode())
            child.stdin.flush()
        head = child.stdout.read(1 + LENGTH)
        length = int.from_bytes(head[1:], "big")
        said = child.stdout.read(length) if len(head) == 1 + LENGTH else b""
        if len(head) == 1 + LENGTH and len(said) == length:
            return said if head[:1] == LINES else said.decode()
        return f"ended the process that read it ({_ending(self.close())})"

    def _started(self) -> Child | subprocess.Popen[bytes]:
        argv = (sys.executable, "-P", "-m", "orchgate.history.parquet_rows", self._folder)
        return process.talk(argv, cwd=None, env=os.environ)

    def close(self) -> int:
        """How the process ended; it does so when nobody asks any more."""
        child, self._child = self._child, None
        if child is None:
            return 0
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
        return child.wait()


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def parsed(contents: Iterable[tuple[str, bytes | OrchgateError]]) -> Iterator[HistorySegment | SegmentFault]:
    """Segments of parts. Raises OrchgateError."""
    with scratch() as folder, contextlib.closing(PartReader(folder)) as reader:
        for name, content in contents:
            lines = reader.lines_of(content) if isinstance(content, bytes) else content.message
            yield SegmentFault(name, lines) if isinstance(lines, str) else parse(name, lines, JOINED.runs)


PARQUET = SegmentFormat(SUFFIX, SegmentLimits(MOST_RUNS, SPLIT_BYTES), JOINED, written, parsed)
