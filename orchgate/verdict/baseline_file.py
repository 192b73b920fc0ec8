"""`.orchgate/baseline.json` on disk: read with care, changed by one process at a time, replaced as a whole."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from orchgate.git import united
from orchgate.lib import files, locks
from orchgate.verdict.baseline import MAX_BYTES, PATH, Baseline, BaselineError, parse, render

if TYPE_CHECKING:
    from collections.abc import Callable

# Each line of the file is complete in itself, so both sides' lines may stand together in any order.
UNITED = f"{os.path.basename(PATH)} merge=union"
_LINK = "is a symbolic link: whoever changes its target would change the baseline unseen"


def load(root: str) -> Baseline:
    """The baseline of a work tree, empty when there is none. Raises BaselineError."""
    path = os.path.join(root, PATH)
    if os.path.islink(os.path.dirname(path)):
        raise BaselineError(os.path.dirname(PATH), _LINK, "put the folder itself there")
    data = read(path, PATH)
    return Baseline() if data is None else parse(data, PATH)


def read(path: str, where: str) -> bytes | None:
    """The bytes of a baseline file, never waiting for a writer; None when there is none. Raises BaselineError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BaselineError(where, _LINK, "put the file itself there") from error
        raise BaselineError(where, f"cannot be read: {error.strerror}", f"ls -l {where}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BaselineError(where, "is no ordinary file", f"move what stands there away: ls -ld {where}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)  # what is longer is refused by `parse`
    finally:
        os.close(descriptor)


def update(root: str, change: Callable[[Baseline], Baseline]) -> Baseline:
    """Changes the baseline of a work tree, one process after the other, and returns what it then holds.

    `change` sees what is there by now. Raises BaselineError, WriteError, Busy, NoLocks and what `change` raises; then
    nothing changed.
    """
    folder = os.path.join(root, os.path.dirname(PATH))
    if os.path.islink(folder):
        raise BaselineError(os.path.dirname(PATH), _LINK, "put the folder itself there")
    with locks.held(root, locks.RECORDS, "orchgate baseline"):
        before = load(root)
        after = change(before)
        if after != before:
            files.make_folders(folder)
            united.tell(folder, UNITED)
            files.replace(os.path.join(root, PATH), render(after))
        return after
