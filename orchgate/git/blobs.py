"""Contents of many objects through one `git cat-file --batch`."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from itertools import islice
from typing import IO, TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git.call import FETCH_OBJECTS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

    from orchgate.git.call import Git

# Questions in flight. They fit into the pipe's buffer many times over, so neither side can wait for the other for ever.
WINDOW = 128
CHUNK = 1 << 20


class NoContent(NamedTuple):
    """Why the content of an object is not to be had."""

    why: str
    too_large: bool


class Object(NamedTuple):
    """What git holds under a name. `size` is in bytes; `content` is cut off at the limit that was asked for."""

    oid: str
    kind: str
    size: int
    content: bytes


class _Question:
    """One name in flight and, once git has come to it, its answer."""

    __slots__ = ("answer", "limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = True
        self.answer: Object | None = None


class Blobs:
    """A conversation with git about objects, started when first needed."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None
        self._flying: deque[_Question] = deque()
        self._owner = 0  # process id; the conversation belongs to whoever started it
        self._inherited: subprocess.Popen[bytes] | None = None

    def read_many(self, names: Iterable[str], limit: int) -> Iterator[bytes | NoContent]:
        """Contents in the order asked, or why there is none. `limit` is in bytes.

        A name is an object id, or an expression such as `<id>:path` without line breaks.
        """
        waiting = iter(names)
        mine: deque[tuple[str, _Question]] = deque()
        while True:
            batch = list(islice(waiting, WINDOW - len(mine) if len(mine) <= WINDOW // 2 else 0))
            if batch:
                mine.extend(zip(batch, self._ask(batch, limit), strict=True))
            if not mine:
                return
            name, question = mine.popleft()
            yield _content(name, self._await(question), limit)

    def resolve(self, expression: str, limit: int = CHUNK) -> Object | None:
        """What an expression such as `HEAD^{commit}` names; None when there is no such object."""
        (question,) = self._ask([expression], limit)
        return self._await(question)

    def _ask(self, names: list[str], limit: int) -> list[_Question]:
        writer = _pipe(self._start().stdin)
        try:
            writer.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
            writer.flush()
        except BrokenPipeError as error:
            raise _ended_early() from error
        questions = [_Question(limit) for _ in names]
        self._flying.extend(questions)
        return questions

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner != os.getpid():
            # A forked process shares the pipes: two readers would steal each other's answers. It is kept, not closed,
            # because it still serves the parent.
            self._inherited, self._process = self._process, None
            self._flying = deque()
        if self._process is None:
            self._process = self._git.converse("cat-file", "--batch")
            self._owner = os.getpid()
        return self._process

    def _await(self, question: _Question) -> Object | None:
        # git answers in the order of all questions: those of a reader that is in the middle of its list, or that has
        # gone away, come first and must not be taken for ours.
        while question.open:
            first = self._flying.popleft()
            first.answer, first.open = self._receive(first.limit), False
        return question.answer

    def _receive(self, limit: int) -> Object | None:
        assert self._process is not None
        reader = _pipe(self._process.stdout)
        line = reader.readline()
        if not line:
            raise _ended_early()
        fields = line.split()
        if len(fields) != 3 or not fields[2].isdigit():
            return None  # "<name> missing" or "<name> ambiguous"
        size = int(fields[2])
        content = _exactly(reader, min(size, limit))
        _skip(reader, size - len(content) + 1)
        return Object(fields[0].decode("ascii"), fields[1].decode("ascii"), size, content)

    def close(self) -> None:
        """Ends the conversation; safe to call twice."""
        if self._process is None or self._owner != os.getpid():
            return
        child, self._process = self._process, None
        self._flying.clear()
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(stream).close()
        child.wait()


def _content(name: str, found: Object | None, limit: int) -> bytes | NoContent:
    if found is None:
        return NoContent(f"object {name} is missing from this repository", too_large=False)
    if found.size > limit:
        return NoContent(f"is larger than {limit} bytes ({found.size})", too_large=True)
    return found.content


def _ended_early() -> GitError:
    # In a partial clone it ends this way at the first object that is not here, because fetching it is forbidden.
    return GitError(
        "git cat-file ended early", f"objects are missing: {FETCH_OBJECTS}; or git fsck shows what is wrong"
    )


def _exactly(reader: IO[bytes], size: int) -> bytes:
    content = reader.read(size)
    if len(content) != size:
        raise _ended_early()
    return content


def _skip(reader: IO[bytes], size: int) -> None:
    while size > 0:
        size -= len(_exactly(reader, min(size, CHUNK)))


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # both ends are piped by process.start
    return stream
