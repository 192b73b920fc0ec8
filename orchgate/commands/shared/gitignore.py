"""Whether git ignores the folders of artifacts, and the `.gitignore` that makes it so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError, Unreadable
from orchgate.git.snapshot import WorkTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchgate.git.repository import Repository

FILE = ".gitignore"
COMMAND = "orchgate init --gitignore"
MAX_BYTES = 1024 * 1024


def open_folders(repository: Repository, roots: Iterable[str]) -> tuple[str, ...]:
    """The folders that git neither ignores nor tracks anything in: the next `git add .` would take what they hold."""
    wanted = [root.strip("/") for root in roots]
    ignored = repository.git.ignored(f"{root}/x" for root in wanted)
    tracked = os.fsdecode(repository.git("ls-files", "-z", "--", *wanted)).split("\0") if wanted else []
    return tuple(
        root
        for root in wanted
        if f"{root}/x" not in ignored and not any(path.startswith(f"{root}/") for path in tracked)
    )


def completed(root: str, folders: Iterable[str]) -> str:
    """The text of `.gitignore` with lines for the folders. Raises OrchgateError for one that is no plain text file."""
    path = os.path.join(root, FILE)
    if os.path.islink(path):  # it may lead out of the repository, and git does not follow it either
        raise OrchgateError(f"{FILE} is a symbolic link", f"put the file itself there, then: {COMMAND}")
    try:
        text = (WorkTree(root).find(FILE, MAX_BYTES) or b"").decode("utf-8")
    except (Unreadable, UnicodeDecodeError) as error:
        raise OrchgateError(f"{FILE} cannot be read: {error}", "add the lines by hand") from error
    end = "\r\n" if "\r\n" in text else "\n"
    start = text if not text or text.endswith("\n") else text + end
    return start + "".join(f"/{folder}/{end}" for folder in folders)
