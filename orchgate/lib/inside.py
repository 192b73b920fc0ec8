"""What may be written inside a repository: no name that git keeps for itself, and nothing behind a link.

The names are those that git's own path check refuses with `core.protectHFS` and `core.protectNTFS`, on every system:
what is written here may be carried to a file system that folds letters, drops trailing dots, or knows short names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Code points that HFS+ leaves out of a name when it compares.
_IGNORED = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
# NTFS drops dots and blanks at the end of a name, and takes what follows a colon for a stream of the same file.
_GIT_FOLDER = lazy(r"(?ais)(?:\.git|git~[0-9]+)[ .]*(?::.*)?")

# What git looks for in a folder before it takes it for a repository, bare and whatever it is called.
GIT_NAMES = frozenset({"head", "objects", "refs", "commondir"})


def is_git_name(name: str) -> bool:
    """Whether one component of a path is, somewhere, another way to write `.git`."""
    pieces = name.translate(_IGNORED).split("\\")
    return any(_GIT_FOLDER.fullmatch(piece) for piece in pieces)


def git_name(path: str) -> str:
    """The first component of a repository path that git keeps for itself; "" when there is none."""
    # Nearly every path is done with here: without these letters no spelling of the name can be made.
    folded = path.casefold()
    if "git" not in folded and folded.isascii():
        return ""
    return next((name for name in path.split("/") if is_git_name(name)), "")


def why_outside(path: str) -> str:
    """Why a path, or a glob of paths, names nothing that a repository holds; "" when it may."""
    names = path.split("/")
    if path.startswith(("/", "~")) or ".." in names:
        return "leads out of the repository"
    if not path or path.startswith("$"):
        return "names no file"
    return "is in a folder that git keeps for itself" if git_name(path) else ""


def looks_like_git(names: Iterable[str]) -> bool:
    """Whether git would take a folder with these names in it for a repository."""
    folded = GIT_NAMES & {name.casefold() for name in names}
    return "head" in folded and ("commondir" in folded or {"objects", "refs"} <= folded)


def links(root: str, path: str) -> Iterator[str]:
    """The symbolic links on the way to a repository path, itself included, as repository paths."""
    at = ""
    for name in path.split("/"):
        at = f"{at}/{name}" if at else name
        if os.path.islink(os.path.join(root, at)):
            yield at


def require_real(root: str, path: str) -> None:
    """Refuses a repository path that passes through a symbolic link or a name of git's. Raises OrchgateError."""
    if named := git_name(path):
        raise OrchgateError(f"{path}: {named!r} is a name that git keeps for itself", "remove it from what names it")
    link = next(links(root, path), None)
    if link is not None:
        raise OrchgateError(f"{path} is reached through a symbolic link: {link}", f"replace {link} by what it leads to")


def require_inside(root: str, folder: str) -> None:
    """Refuses a folder to write to that lies, links resolved, outside of a root or in a git folder.

    Both are absolute; the folder need not be there yet. Raises OrchgateError.
    """
    top, real = os.path.realpath(root), os.path.realpath(folder)
    inner = os.path.relpath(real, top)
    shown = os.path.relpath(folder, root)
    if inner == ".." or inner.startswith("../"):
        raise OrchgateError(
            f"{_link_on_the_way(root, shown)} is a symbolic link that leads out of the repository",
            "put a real folder there; another disk can be mounted in its place",
        )
    if git_name(inner):
        raise OrchgateError(f"{shown} leads into a git folder: {inner}", f"replace {_link_on_the_way(root, shown)}")


def _link_on_the_way(root: str, path: str) -> str:
    return next(links(root, path), path)
