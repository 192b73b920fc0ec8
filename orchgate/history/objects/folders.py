"""Parts in a folder, which many machines may share: each is put there whole, or not at all.

Nothing is read, listed or written through a symbolic link below the folder: whoever may write to it could lead the runs
of others, and what `compact` removes, out of it.
"""

from __future__ import annotations

import errno
import os
import stat

from orchgate.errors import OrchgateError
from orchgate.history.objects.shape import Listed, PartFault, ReadOnlyStore, VanishedPart
from orchgate.lib import files
from orchgate.lib.files import NotRegularFileError, WriteError
from orchgate.lib.paths import links
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FolderObjects:
    def __init__(self, path: str) -> None:
        self.where = path
        self._path = path

    def require(self) -> None:
        """Raises OrchgateError where the folder is not there: a disk that is not mounted is no empty history."""
        if not os.path.isdir(self._path):
            raise OrchgateError(f"{self._path} is not there, or not a directory", "make it, or mount the disk it is on")

    def folders(self, prefix: str) -> list[str]:
        return [f"{prefix}{one.name}/" for one in self._entries(prefix) if one.is_dir(follow_symlinks=False)]

    def walk(self, prefix: str) -> Iterator[Listed]:
        for one in self._entries(prefix):
            if one.is_dir(follow_symlinks=False):
                yield from self.walk(f"{prefix}{one.name}/")
            elif one.is_file(follow_symlinks=False):
                try:
                    status = one.stat(follow_symlinks=False)
                    yield Listed(f"{prefix}{one.name}", status.st_size, status.st_mtime)
                except FileNotFoundError:
                    continue

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        path = os.path.join(self._path, prefix)
        if self._is_led_astray(prefix):
            return []
        try:
            with os.scandir(path) as found:
                return sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise OrchgateError(f"cannot list {path}: {error.strerror}", "ls -l shows who may read it") from error

    def _is_led_astray(self, name: str) -> bool:
        return bool(name) and next(links(self._path, name.rstrip("/")), None) is not None

    def get(self, name: str, limit: int) -> bytes:
        path = os.path.join(self._path, name)
        if self._is_led_astray(name):
            raise PartFault("is reached through a symbolic link")
        try:
            return files.read(path, limit, follow=False)
        except FileNotFoundError as error:
            raise VanishedPart from error
        except NotRegularFileError as error:
            raise PartFault(f"is {error.kind}, not a regular file") from error
        except OSError as error:
            why = "is too large to be read" if error.errno == errno.EFBIG else f"cannot be read: {error.strerror}"
            raise PartFault(why) from error

    def create(self, name: str, content: bytes) -> bool:
        return self._put(name, content, new=True)

    def replace(self, name: str, content: bytes) -> None:
        self._put(name, content, new=False)

    def _put(self, name: str, content: bytes, *, new: bool) -> bool:
        path = os.path.join(self._path, name)
        self.require()
        if self._is_led_astray(name):
            raise OrchgateError(f"{path} is reached through a symbolic link", "put a real folder there")
        try:
            files.make_folders(os.path.dirname(path))
            (files.create if new else files.replace)(path, content)
        except WriteError as error:
            if new and os.path.lexists(path):
                return False
            raise ReadOnlyStore(error.message, error.hint) from error
        return True

    def delete(self, name: str) -> None:
        path = os.path.join(self._path, name)
        if self._is_led_astray(name):
            raise OrchgateError(f"{path} is reached through a symbolic link", "put a real folder there")
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ReadOnlyStore(f"cannot remove {path}: {error.strerror}") from error
