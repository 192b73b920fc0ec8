"""`.orchgate/baseline.json` on disk: read with care, changed by one process at a time, replaced as a whole."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from orchgate.git import attributes
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
        descriptor = files.open_regular(path, follow=False)
    except FileNotFoundError:
        return None
    except files.NotRegularFileError as error:
        message = f"is {error.kind}, not a regular file"
        raise BaselineError(where, message, f"move it away: ls -ld {where}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BaselineError(where, _LINK, "put the file itself there") from error
        raise BaselineError(where, f"cannot be read: {error.strerror}", f"ls -l {where}") from error
    with open(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)  # what is longer is refused by `parse`


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
            attributes.tell(folder, UNITED)
            files.replace(os.path.join(root, PATH), render(after))
        return after
