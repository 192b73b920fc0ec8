"""The tree that evidence travels in: every content under its SHA-256, `ab/cdef…`, and whatever else somebody put there.

Only two levels are looked at, so that a tree of trees of trees, which unfolds without end, costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git.blobs import NoContent
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.git.blobs import Blobs
    from orchgate.git.call import Git

REF = "refs/orchgate/evidence"
MAX_TREE = 256 * 1024 * 1024  # bytes of one tree object: far more contents than any store holds
_FOLDER = lazy("[0-9a-f]{2}")
_REST = lazy("[0-9a-f]{62}")
_TREE = "40000"
_MODE = "100644"
_REGULAR = "100"  # how the modes of regular files begin
_WINDOW = 128
_CHUNK = 1 << 20


class EvidenceTree(NamedTuple):
    """What a reference names. `oid` is None where there is none, `commit` where it leads to no commit.

    `kind` is what stands at its end, tags aside: commit, tree or blob. `foreign` are entries that are no evidence;
    `exact` says that there are none, and that the others have the mode that we write.
    """

    oid: str | None = None
    commit: str | None = None
    kind: str = ""
    contents: Mapping[str, str] = {}
    foreign: tuple[str, ...] = ()
    exact: bool = True

    @property
    def is_evidence(self) -> bool:
        """Whether it is a commit of ours, perhaps with something added; or nothing at all."""
        return self.oid is None or (self.commit is not None and bool(self.contents or not self.foreign))


def read_tree(blobs: Blobs, oid: str | None, ref: str, repair: str) -> EvidenceTree:
    """What an object that `ref` names holds. Raises GitError, with the command `repair`, when it is not all here."""
    if oid is None:
        return EvidenceTree()
    commit = blobs.resolve(f"{oid}^{{commit}}")
    tree = blobs.resolve(f"{oid}^{{tree}}", MAX_TREE)
    if tree is None:
        blob = blobs.resolve(f"{oid}^{{blob}}", 0)
        if blob is None:
            raise GitError(f"{ref} names {oid}, which is not here, or not with all it holds", repair)
        return EvidenceTree(oid, None, "blob")
    contents: dict[str, str] = {}
    modes: set[str] = set()

    def damaged(reason: str) -> GitError:
        return GitError(f"{ref}: {reason}", repair)

    foreign = tuple(_sort(blobs, _entries(tree.content, len(oid) // 2), contents, modes, damaged))
    exact = not foreign and modes <= {_MODE}
    return EvidenceTree(oid, commit and commit.oid, "commit" if commit else "tree", contents, foreign, exact)


def _sort(
    blobs: Blobs,
    top: Iterator[tuple[str, str, str]],
    contents: dict[str, str],
    modes: set[str],
    damaged: Callable[[str], GitError],
) -> Iterator[str]:
    """Fills in the contents and their modes; yields the names of what is none."""
    folders = []
    for mode, name, oid in top:
        if mode == _TREE and _FOLDER.fullmatch(name):
            folders.append((name, oid))
        else:
            yield name
    trees = blobs.read_many([oid for _, oid in folders], MAX_TREE)
    for (folder, oid), data in zip(folders, trees, strict=True):
        if isinstance(data, NoContent):
            raise damaged(f"{folder}/: {data.why}")
        for mode, name, inner in _entries(data, len(oid) // 2):
            if mode.startswith(_REGULAR) and _REST.fullmatch(name):
                contents[folder + name] = inner
                modes.add(mode)
            else:
                yield f"{folder}/{name}"


def _entries(data: bytes, width: int) -> Iterator[tuple[str, str, str]]:
    """Mode, name and object id of each entry of a tree object; `width` is an id's length in bytes."""
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        mode, _, name = data[at:end].partition(b" ")
        at = end + 1 + width
        if end < 0 or at > len(data):
            return  # cut off: git writes no such tree
        yield os.fsdecode(mode), os.fsdecode(name), data[end + 1 : at].hex()


def wrong(git: Git, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Those of some contents, SHA-256 and object id, that are not what their name says. However large, none is held.

    Raises GitError when one is not here.
    """
    import hashlib

    found = []
    with git.talking("cat-file", "--batch") as (ask, answers):
        for start in range(0, len(pairs), _WINDOW):  # few enough for the pipe to hold the questions
            window = pairs[start : start + _WINDOW]
            ask.write("".join(f"{oid}\n" for _, oid in window).encode("ascii"))
            ask.flush()
            for sha256, oid in window:
                fields = answers.readline().split()
                if len(fields) != 3:
                    raise GitError(f"the content {sha256[:12]} (object {oid}) is missing", "git fsck")
                digest, left = hashlib.sha256(), int(fields[2])
                while left > 0 and (part := answers.read(min(left, _CHUNK))):
                    digest.update(part)
                    left -= len(part)
                answers.read(1)
                if fields[1] != b"blob" or digest.hexdigest() != sha256:
                    found.append(sha256)
    return found
