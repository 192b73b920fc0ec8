"""Those paths of a tree that a rule chooses, kept from one commit to the next: most commits add and remove few of them.

What is kept belongs to a tree by its id. Of another tree, git says what differs between the two: that alone is kept
beside the paths of the earlier one, until there is much of it.
"""

from __future__ import annotations

import os

from orchgate.git.call import DIFF_PINNED
from orchgate.lib.hashes import fingerprint
from orchgate.lib.pages import Damaged, lines_of, write_lines
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import TypeVar

    from orchgate.git.call import Git
    from orchgate.lib.cache import Cache
    from orchgate.lib.pages import Lines

    Answer = TypeVar("Answer")

_LATEST, _OF_TREE, _CONTENT = "latest-paths", "tree-paths", "paths"
_MOST_CHANGES = 20_000  # between two trees; beyond this, listing one of them is about as cheap
_MOST_BESIDE = 500  # paths that differ from those of an earlier tree; beyond this, all are written anew


class PathChoice(NamedTuple):
    """A rule by its name, which says all that it depends on, and whether a path with a mode is chosen by it."""

    name: bytes
    chooses: Callable[[str, str], bool]


class Beside(NamedTuple):
    """Paths as git has them: the lines of a tree without those that are gone, and more, which are there in any case."""

    tree: bytes
    lines: Lines
    gone: frozenset[bytes]
    more: frozenset[bytes]

    def listed(self) -> list[bytes]:
        """All, sorted. Raises Damaged, as the others do."""
        lines = self.lines.all()
        return sorted({*lines} - self.gone | self.more) if self.gone or self.more else lines

    def containing(self, words: Collection[bytes]) -> set[bytes]:
        found = {*self.lines.containing(words).values()} - self.gone
        return found.union(path for path in self.more if any(word in path for word in words))

    def least(self) -> Beside:
        """The same paths, by what is really gone, and what the lines do not have."""
        gone = frozenset(path for path in self.gone - self.more if self.lines.has(path))
        return self._replace(gone=gone, more=frozenset(path for path in self.more if not self.lines.has(path)))

    def written(self) -> bytes:
        return b"\0".join((self.tree, b"%d" % len(self.gone), *sorted(self.gone), *sorted(self.more)))

    def differing(self, choice: PathChoice, changed: Mapping[bytes, str]) -> Beside:
        """Those of a tree that differs by some modes, "" for what is gone."""
        more = (path for path, mode in changed.items() if mode and choice.chooses(os.fsdecode(path), mode))
        return self._replace(gone=self.gone.union(changed), more=self.more.difference(changed).union(more))


class ChosenPaths:
    """Chosen paths of a tree."""

    def __init__(self, found: Beside, anew: Callable[[], Beside]) -> None:
        """`anew` finds them where what was kept is damaged."""
        self._found = found
        self._anew = anew

    def all(self) -> Iterator[str]:
        """In git's order."""
        return map(os.fsdecode, self._asked(Beside.listed))

    def digest(self) -> bytes:
        """What stands for these paths, and no others."""
        return self._asked(lambda found: fingerprint(found.lines.digest, found.least().written()))

    def containing(self, words: Iterable[str]) -> list[str]:
        """The paths that contain one of some words, in git's order."""
        wanted = [*filter(None, map(_encoded, words))]
        return [os.fsdecode(path) for path in sorted(self._asked(lambda found: found.containing(wanted)))]

    def _asked(self, ask: Callable[[Beside], Answer]) -> Answer:
        try:
            return ask(self._found)
        except Damaged:
            self._found = self._anew()
            return ask(self._found)


def _encoded(word: str) -> bytes:
    """A word as git's paths would have it; empty for what is part of none."""
    try:
        return os.fsencode(word) if "\0" not in word else b""
    except UnicodeEncodeError:
        return b""


class KeptPaths(NamedTuple):
    """What finds the chosen paths of trees. `list_tree` gives every path of a tree by its id, with its mode.

    `changes` are the modes of what differs between two trees, as `differing`.
    """

    changes: Callable[[str, str], Mapping[bytes, str] | None]
    kept: Cache
    choice: PathChoice
    list_tree: Callable[[str], Iterable[tuple[str, str]]]

    def of(self, tree: str, changed: Mapping[str, str]) -> ChosenPaths:
        """Those of what differs from a tree by some modes, "" for what is gone. Raises GitError."""
        found = self._read(tree) or self._after(tree) or self._anew(tree)
        modes = {os.fsencode(path): mode for path, mode in changed.items()}
        return ChosenPaths(found.differing(self.choice, modes), lambda: self._anew(tree).differing(self.choice, modes))

    def _anew(self, tree: str) -> Beside:
        chosen = (os.fsencode(path) for path, mode in self.list_tree(tree) if self.choice.chooses(path, mode))
        return self._written(tree, sorted(chosen))

    def _after(self, tree: str) -> Beside | None:
        """By what differs from the latest tree that is known; None where that does not help."""
        earlier = (self.kept.read(_LATEST, self.choice.name) or b"").decode("ascii", "replace")
        before = self._read(earlier) if earlier else None
        changes = self.changes(earlier, tree) if before is not None else None
        if before is None or changes is None:
            return None
        found = before.differing(self.choice, changes)
        try:
            if len(found.gone | found.more) > _MOST_BESIDE:
                return self._written(tree, found.listed())
            found = found.least()
        except Damaged:
            return None
        self._write(tree, found)
        return found

    # What is kept of each tree is only what it is beside the lines of an earlier one.

    def _read(self, tree: str) -> Beside | None:
        fields = (self.kept.shared(_OF_TREE, self._key(tree.encode("ascii"))) or b"").split(b"\0")
        if len(fields) < 2:
            return None
        count = 2 + int(fields[1])
        try:
            lines = lines_of(self.kept, _CONTENT, self._key(fields[0]))
        except Damaged:
            return None
        return Beside(fields[0], lines, frozenset(fields[2:count]), frozenset(fields[count:]))

    def _written(self, tree: str, listed: list[bytes]) -> Beside:
        """Keeps all paths of a tree."""
        name = tree.encode("ascii")
        found = Beside(name, write_lines(self.kept, _CONTENT, self._key(name), listed), frozenset(), frozenset())
        self._write(tree, found)
        return found

    def _write(self, tree: str, found: Beside) -> None:
        self.kept.write(_OF_TREE, self._key(tree.encode("ascii")), found.written())
        self.kept.write(_LATEST, self.choice.name, tree.encode("ascii"))

    def _key(self, tree: bytes) -> bytes:
        return self.choice.name + b"\n" + tree


def differing(git: Git, before: str, after: str) -> dict[bytes, str] | None:
    """The modes of what differs between two trees, by path; None where git cannot say, and where that is much."""
    options = (*DIFF_PINNED, "--raw", "-z", "--no-renames", "--no-abbrev", "--end-of-options")
    completed = git.attempt("diff", *options, before, after, "--")  # `diff-tree` reads the whole index first
    fields = completed.stdout.split(b"\0")[:-1]
    if completed.code != 0 or len(fields) > 2 * _MOST_CHANGES:
        return None
    return {
        path: "" if header.endswith(b"D") else header.split(b" ")[1].decode("ascii")
        for header, path in zip(fields[::2], fields[1::2], strict=True)
    }
