"""What git's objects hold, many of them through one `git cat-file --batch`; and how two trees differ.

Of a difference: which paths, how many lines, and the hunks where they are wanted.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import islice

from orchgate.errors import GitError
from orchgate.git.call import DIFF_PINNED, FETCH_OBJECTS
from orchgate.lib.hashes import digest
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress
from orchgate.model import Change

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Sequence
    from typing import IO

    from orchgate.git.call import Git
    from orchgate.lib.process import Child


EMPTY_BLOB = {  # by the length of an object id
    40: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    64: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


class Patch(NamedTuple):
    """What unidiff read from a patch: lines added and removed by head-side path."""

    counts: dict[str, tuple[int, int]]


def sides(base: str, head: str | None) -> tuple[str, ...]:
    """Arguments that name both trees, hex ids only; no head means the index."""
    # Ids may come from git's own files, which a stranger may have written: `--output=FILE` there would be obeyed.
    named = ("--end-of-options", base)
    return (*named, head) if head is not None else ("--cached", *named)


def changes(git: Git, base: str, head: str | None, *options: str) -> tuple[Change, ...]:
    """Every path between two trees with its line counts, renames followed. Raises GitError."""
    output = git("diff", *DIFF_PINNED, *options, "--raw", "--no-abbrev", "--numstat", "-z", *sides(base, head), "--")
    return parse(output)


def parse(output: bytes) -> tuple[Change, ...]:
    """Changes from the output of `git diff --raw --numstat -z`."""
    fields = iter(output.split(b"\0"))
    raw: list[tuple[list[bytes], bytes, bytes | None]] = []
    counts: dict[bytes, tuple[int | None, int | None]] = {}
    for field in fields:
        if field.startswith(b":"):
            header = field[1:].split(b" ")
            first = next(fields)
            renamed = header[4][:1] in (b"R", b"C")
            raw.append((header, next(fields) if renamed else first, first if renamed else None))
        elif field:
            added, removed, name = field.split(b"\t", 2)
            if not name:
                next(fields)  # the old name; the raw record has it too
                name = next(fields)
            counts[name] = (_count(added), _count(removed))
    return tuple(_change(header, path, old, counts) for header, path, old in raw)


def _count(field: bytes) -> int | None:
    return None if field == b"-" else int(field)


def _change(
    header: list[bytes], path: bytes, old: bytes | None, counts: dict[bytes, tuple[int | None, int | None]]
) -> Change:
    status = header[4][:1].decode("ascii")
    if status == "U":
        raise GitError(f"{os.fsdecode(path)} is unmerged", "resolve the conflict, then: git add <path>")
    if path not in counts:
        # Only a mode change or a pure submodule move has no row; both count no lines.
        counts[path] = (0, 0)
    added, removed = counts[path]
    return Change(
        status,
        os.fsdecode(path),
        None if old is None else os.fsdecode(old),
        header[0].decode("ascii"),
        header[1].decode("ascii"),
        header[2].decode("ascii"),
        header[3].decode("ascii"),
        added,
        removed,
    )


def patch_bytes(git: Git, base: str, head: str | None, paths: Iterable[str] = (), *, renames: bool = True) -> bytes:
    """A unified diff without context lines, of every file as text, also of those that an attribute hides."""
    options = ("--text", "--no-abbrev", "-U0", "--patch", *(() if renames else ("--no-renames",)))
    return git("diff", *DIFF_PINNED, *options, *sides(base, head), "--", *paths)


def merged(by_parent: Sequence[tuple[Change, ...]]) -> tuple[Change, ...]:
    """What a merge itself changed: paths that differ from every parent, each with its smallest count.

    What came in by merging is somebody else's change and was judged when it was made.
    """
    first, *others = by_parent
    rest = [{change.path: change for change in changes} for changes in others]
    return tuple(_smallest(change, rest) for change in first if all(change.path in other for other in rest))


def _smallest(change: Change, others: Iterable[dict[str, Change]]) -> Change:
    return min((change, *(other[change.path] for other in others)), key=_weight)


def _weight(change: Change) -> tuple[bool, int]:
    # A known count is preferred to none: binary against one parent, text against the other.
    return change.added is None, (change.added or 0) + (change.removed or 0)


def split_patch(patch: bytes) -> Iterator[bytes]:
    """The patch of each file on its own; `diff --git` can stand in no hunk, whose lines begin with + - or a space."""
    start = 0
    while start < len(patch):
        end = patch.find(b"\ndiff --git ", start)
        end = len(patch) if end < 0 else end + 1
        yield patch[start:end]
        start = end


PATHS_AT_ONCE = 500  # on one command line; what the system takes is a matter of megabytes

# Stands in for the file names of each patch: unidiff stumbles over quoted names and over ` b/` inside them, and we
# know the names already, from NUL-terminated records in the same order.
PATCH_HEADER = "--- a/file\n+++ b/file\n"


def counted(git: Git, base: str, head: str | None, changes: Iterable[Change]) -> Patch:
    """Lines of some changes between two trees, counted from their patch, every file shown as text. Raises GitError."""
    counts: dict[str, tuple[int, int]] = {}
    wanted = list(changes)
    # Among a few paths git might pair a removal with an addition that it kept apart among all of them.
    for renames in (False, True):
        group = [change for change in wanted if (change.old_path is not None) == renames]
        for start in range(0, len(group), PATHS_AT_ONCE):
            part = group[start : start + PATHS_AT_ONCE]
            paths = [path for change in part for path in (change.old_path, change.path) if path]
            counts |= read_patch(patch_bytes(git, base, head, paths, renames=renames), part).counts
    return Patch(counts)


def read_patch(patch: bytes, changes: Iterable[Change]) -> Patch:
    """Lines added and removed by path; `changes` are those of the patch, in git's order.

    Raises GitError when patch and changes do not fit together or a hunk is malformed.
    """
    counts: dict[str, tuple[int, int]] = {}
    sections = split_patch(patch)
    for change in changes:
        if not _has_section(change):
            continue
        added = removed = 0
        for _ in range(2 if change.status == "T" else 1):  # a type change is a removal and an addition
            more_added, more_removed = _count_section(_next(sections, change))
            added, removed = added + more_added, removed + more_removed
        counts[change.path] = (added, removed)
    if next(sections, None) is not None:
        raise GitError("git's patch shows more files than its list of changes")
    return Patch(counts)


def _has_section(change: Change) -> bool:
    return change.old_oid != change.new_oid or change.old_mode != change.new_mode or change.old_path is not None


def _next(sections: Iterator[bytes], change: Change) -> bytes:
    section = next(sections, None)
    if section is None:
        raise GitError(f"git's patch does not show {change.path}")
    return section


def _count_section(section: bytes) -> tuple[int, int]:
    start = section.find(b"\n@@ ")
    if start < 0:
        return (0, 0)
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    # Bytes decoded one to one and split at "\n" only: text mode would also split at form feeds, lone CRs and U+2028.
    hunks = PATCH_HEADER + section[start + 1 :].decode("utf-8", "surrogateescape")
    try:
        (file,) = PatchSet(hunks, metadata_only=True)
    except (UnidiffParseError, ValueError) as error:
        raise GitError(f"git's patch cannot be read: {error}") from error
    return (file.added, file.removed)


# Questions in flight. They fit into the pipe's buffer many times over, so neither side can wait for the other for ever.
WINDOW = 128
CHUNK = 1 << 20


def is_blob(content: bytes, oid: str) -> bool:
    """Whether a content is that of a blob by its id, and not what the blob points at."""
    name = "sha1" if len(oid) == 40 else "sha256"
    return digest(name, b"blob %d\0%b" % (len(content), content)).hex() == oid


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
        self.settled = True  # whether all that was read so far follows from the ids of objects
        self._git = git
        self._process: Child | subprocess.Popen[bytes] | None = None
        self._flying: deque[_Question] = deque()
        self._owner = 0  # process id; the conversation belongs to whoever started it
        self._inherited: Child | subprocess.Popen[bytes] | None = None

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
            found = self._await(question)
            self.settled &= found is not None  # what is missing today may be fetched tomorrow
            yield _content(name, found, limit)

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

    def _start(self) -> Child | subprocess.Popen[bytes]:
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
            with suppress(BrokenPipeError):
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
