"""Contents of many objects through one `git cat-file --batch`."""

from __future__ import annotations

import contextlib
from collections import deque
from itertools import islice
from typing import IO, TYPE_CHECKING

from orchgate.errors import GitError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

    from orchgate.git.call import Git

# Questions in flight. They fit into the pipe's buffer many times over, so neither side can wait for the other for ever.
WINDOW = 128


class Blobs:
    """A conversation with git about objects, started when first needed."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None

    def read_many(self, names: Iterable[str], limit: int) -> Iterator[bytes | str]:
        """Contents in the order asked, or why there is none. `limit` is in bytes.

        A name is an object id, or an expression such as `<id>:path` without line breaks.
        """
        waiting = iter(names)
        flying: deque[str] = deque()
        while True:
            batch = list(islice(waiting, WINDOW - len(flying) if len(flying) <= WINDOW // 2 else 0))
            if batch:
                self._ask(batch)
                flying.extend(batch)
            if not flying:
                return
            yield self._answer(flying.popleft(), limit)

    def resolve(self, expression: str) -> tuple[str, bytes] | None:
        """Object id and content of an expression such as `HEAD^{commit}`; None when there is no such object."""
        self._ask([expression])
        header = self._header()
        if header is None:
            return None
        oid, size = header
        return oid, self._body(size)

    def _ask(self, names: list[str]) -> None:
        if self._process is None:
            self._process = self._git.converse("cat-file", "--batch")
        writer = _pipe(self._process.stdin)
        try:
            writer.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
            writer.flush()
        except BrokenPipeError as error:
            raise GitError("git cat-file ended early", "git fsck shows what is wrong with the repository") from error

    def _answer(self, name: str, limit: int) -> bytes | str:
        header = self._header()
        if header is None:
            return f"object {name} is missing from this repository"
        size = header[1]
        if size > limit:
            self._skip(size + 1)
            return f"is larger than {limit} bytes ({size})"
        return self._body(size)

    def _header(self) -> tuple[str, int] | None:
        """Object id and size of the next answer; None for "missing" or "ambiguous"."""
        assert self._process is not None
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise GitError("git cat-file ended early", "git fsck shows what is wrong with the repository")
        fields = line.split()
        if len(fields) != 3 or not fields[2].isdigit():
            return None
        return fields[0].decode("ascii"), int(fields[2])

    def _body(self, size: int) -> bytes:
        assert self._process is not None
        content = _pipe(self._process.stdout).read(size + 1)
        if len(content) != size + 1:
            raise GitError("git cat-file ended early", "git fsck shows what is wrong with the repository")
        return content[:-1]

    def _skip(self, size: int) -> None:
        assert self._process is not None
        reader = _pipe(self._process.stdout)
        while size > 0:
            chunk = reader.read(min(size, 1 << 20))
            if not chunk:
                raise GitError("git cat-file ended early", "git fsck shows what is wrong with the repository")
            size -= len(chunk)

    def close(self) -> None:
        """Ends the conversation; safe to call twice."""
        if self._process is None:
            return
        child, self._process = self._process, None
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(stream).close()
        child.wait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # both ends are piped by process.start
    return stream
