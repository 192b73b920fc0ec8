"""Those paths of a tree that a rule chooses, kept from one commit to the next: most commits add and remove few of them.

What is kept belongs to a tree by its id. Of another tree, git says what differs between the two.
"""

from __future__ import annotations

import os
from bisect import bisect_left

from orchgate.lib.hashes import fingerprint
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.git.call import Git
    from orchgate.lib.cache import Cache

_LATEST, _OF_TREE, _CONTENT = "latest-paths", "tree-paths", "paths"
_MOST_CHANGES = 20_000  # between two trees; beyond this, listing one of them is about as cheap


class PathChoice(NamedTuple):
    """A rule by its name, which says all that it depends on, and whether a path with a mode is chosen by it."""

    name: bytes
    chooses: Callable[[str, str], bool]


class Paths:
    """Chosen paths of a tree as one text, which is quicker to search than a list; and what differs from the tree."""

    def __init__(self, text: bytes, gone: Collection[bytes] = (), more: Iterable[bytes] = ()) -> None:
        """The text holds a zero byte before and after each path."""
        self._text = text
        self._gone = frozenset(gone)
        self._more = tuple(more)

    def all(self) -> Iterator[str]:
        return map(os.fsdecode, sorted(self._paths()))

    def _paths(self) -> set[bytes]:
        return {*split(self._text), *self._more} - (self._gone - {*self._more})

    def digest(self) -> bytes:
        """What stands for these paths, and no others."""
        same = all((b"\0%b\0" % path in self._text) == (path in self._more) for path in self._gone)
        text = self._text if same else _joined(sorted(self._paths()))
        return fingerprint(text)

    def containing(self, words: Iterable[str]) -> list[str]:
        """The paths that contain one of some words, in git's order."""
        found: set[bytes] = set()
        text = self._text
        wanted = [*filter(None, map(_encoded, words))]
        for word in wanted:
            at = text.find(word)
            while at >= 0:
                end = text.index(b"\0", at)
                found.add(text[text.rindex(b"\0", 0, at) + 1 : end])
                at = text.find(word, end)
        found -= self._gone
        found.update(path for path in self._more if any(word in path for word in wanted))
        return [os.fsdecode(path) for path in sorted(found)]


def _encoded(word: str) -> bytes:
    """A word as git's paths would have it; empty for what is part of none."""
    try:
        return os.fsencode(word) if "\0" not in word else b""
    except UnicodeEncodeError:
        return b""


def split(text: bytes) -> list[bytes]:
    return text[1:-1].split(b"\0") if len(text) > 1 else []


def differing(text: bytes, choice: PathChoice, changed: Mapping[str, str]) -> Paths:
    """The chosen paths of what differs from the tree that has those of a text, by modes, "" for what is gone."""
    more = [path for path, mode in changed.items() if mode and choice.chooses(path, mode)]
    return Paths(text, [*map(os.fsencode, changed)], [*map(os.fsencode, more)])


def paths_of(
    git: Git, kept: Cache, choice: PathChoice, tree: str, list_tree: Callable[[], Iterable[tuple[str, str]]]
) -> bytes:
    """The text of the chosen paths of a tree by its id, which is listed with modes where need be. Raises GitError."""
    text = _read(kept, choice, tree)
    if text is not None:
        return text
    earlier = (kept.read(_LATEST, choice.name) or b"").decode("ascii", "replace")
    before = _read(kept, choice, earlier) if earlier else None
    changes = _changes(git, earlier, tree) if before is not None else None
    if before is None or changes is None:
        text = _joined(sorted(os.fsencode(path) for path, mode in list_tree() if choice.chooses(path, mode)))
    else:
        text = _after(before, choice, changes)
    _write(kept, choice, tree, text, is_new=text != before)
    return text


def _after(text: bytes, choice: PathChoice, changes: Mapping[bytes, str]) -> bytes:
    """The text of a later tree. `changes` are modes by path, "" for what is gone."""
    paths: list[bytes] | None = None
    for path, mode in changes.items():
        is_there, wanted = b"\0%b\0" % path in text, bool(mode) and choice.chooses(os.fsdecode(path), mode)
        if is_there != wanted:
            paths = split(text) if paths is None else paths
            at = bisect_left(paths, path)
            paths[at : at + is_there] = [path] if wanted else []
    return text if paths is None else _joined(paths)


def _joined(paths: list[bytes]) -> bytes:
    return b"\0%b\0" % b"\0".join(paths) if paths else b""


def _changes(git: Git, before: str, after: str) -> dict[bytes, str] | None:
    """The modes of what differs between two trees, by path; None where git cannot say, and where that is much."""
    options = ("--raw", "-r", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=none", "--end-of-options")
    completed = git.attempt("diff-tree", *options, before, after)
    fields = completed.stdout.split(b"\0")[:-1]
    if completed.code != 0 or len(fields) > 2 * _MOST_CHANGES:
        return None
    return {
        path: "" if header.endswith(b"D") else header.split(b" ")[1].decode("ascii")
        for header, path in zip(fields[::2], fields[1::2], strict=True)
    }


# What is kept of each tree is only which text it has: most trees have that of the one before.


def _read(kept: Cache, choice: PathChoice, tree: str) -> bytes | None:
    named = kept.shared(_OF_TREE, _key(choice, tree))
    return None if named is None else kept.shared(_CONTENT, choice.name + b"\n" + named)


def _write(kept: Cache, choice: PathChoice, tree: str, text: bytes, *, is_new: bool) -> None:
    named = fingerprint(text)
    if is_new:
        kept.write(_CONTENT, choice.name + b"\n" + named, text)
    kept.write(_OF_TREE, _key(choice, tree), named)
    kept.write(_LATEST, choice.name, tree.encode("ascii"))


def _key(choice: PathChoice, tree: str) -> bytes:
    return choice.name + b"\n" + tree.encode("ascii")
