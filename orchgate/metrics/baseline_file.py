"""`.orchgate/baseline.json` on disk: read with care, changed by one process at a time, replaced as a whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from orchgate import files
from orchgate.metrics.baseline import MAX_BYTES, PATH, Baseline, BaselineError, parse, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ATTRIBUTES = ".gitattributes"
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

    `change` sees what is there by now. Raises BaselineError, WriteError and what `change` raises; then nothing changed.
    """
    folder = os.path.join(root, os.path.dirname(PATH))
    if os.path.islink(folder):
        raise BaselineError(os.path.dirname(PATH), _LINK, "put the folder itself there")
    files.make_folders(folder)
    with _alone(folder):
        before = load(root)
        after = change(before)
        if after != before:
            _unite_on_merge(folder)
            files.replace(os.path.join(root, PATH), render(after))
        return after


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Holds the folder itself: no lock file is left for anybody to commit, and the system ends it with its holder."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise files.failure(folder, error) from error


def _unite_on_merge(folder: str) -> None:
    """Tells git, by an attribute that travels with the file, that lines of both sides of a merge are kept."""
    path = os.path.join(folder, ATTRIBUTES)
    with contextlib.suppress(FileNotFoundError):
        with open(path, encoding="utf-8", errors="replace") as file:
            known = [line.split()[:1] for line in file]
        if [os.path.basename(PATH)] in known:  # whatever somebody decided there
            return
    descriptor = files.open_appending(path)
    try:
        files.append(descriptor, UNITED.encode(), path, sync=True)
    finally:
        os.close(descriptor)
