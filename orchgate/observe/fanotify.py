"""The kernel's fanotify: what happens to the names of a whole file system, with folders as handles and who did it.

Only the superuser gets these events, and not on every file system: OSError is the usual answer elsewhere. Events of one
process and one file that nobody has read yet are merged into one, so that a record says *at least once*.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x08, 0x40, 0x80, 0x100, 0x200
OVERFLOW, FOLDER = 0x4000, 0x40000000
_MASK = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | FOLDER
# Close on exec, not blocking, and as many file systems as there are; then the folder, the name and the file itself.
_FLAGS = 0x1 | 0x2 | 0x20 | 0x400 | 0x800 | 0x200 | 0x1000
_ADD_FILE_SYSTEM = 0x001 | 0x100
_HERE = -100
_BUFFER = 64 * 1024
_EVENT = struct.Struct("=IBBHQii")  # length, version, reserved, length of this, mask, descriptor, process
_INFO = struct.Struct("=BBH")  # kind, padding, length with this
_SIZE_AND_KIND = struct.Struct("=Ii")  # of a handle
_NAMED, _FILE = 2, 1
_ID = 8  # bytes that name the file system, in front of a handle
_LONGEST = 128  # bytes of a handle


class Record(NamedTuple):
    """What one process did to one name, each kind at least once. `folder` and `file` are keys as `key` makes them."""

    mask: int
    process: int
    folder: bytes
    name: bytes
    file: bytes


class Group:
    """A queue of events. Raises OSError where the kernel gives none."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        try:
            self._mark, self._handle = self._library.fanotify_mark, self._library.name_to_handle_at
            self.descriptor = self._checked(self._library.fanotify_init(_FLAGS, 0))
        except AttributeError as error:  # another C library, or another system
            raise OSError(str(error)) from error
        self._mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
        self._handle.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        self._room = ctypes.create_string_buffer(_SIZE_AND_KIND.size + _LONGEST)
        self._mount = ctypes.c_int()
        self._places = ctypes.addressof(self._room), ctypes.addressof(self._mount)
        self._systems: dict[int, bytes] = {}  # by mount: its file system, which is marked

    def close(self) -> None:
        os.close(self.descriptor)

    def read(self) -> bytes:
        try:
            return os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return b""

    def key(self, folder: bytes) -> bytes:
        """What a folder is called in records. Its file system is listened to from now on. Raises OSError."""
        _SIZE_AND_KIND.pack_into(self._room, 0, _LONGEST, 0)
        self._checked(self._handle(_HERE, folder, *self._places, 0))
        handle = self._room.raw
        system = self._systems.get(self._mount.value)
        if system is None:
            self._checked(self._mark(self.descriptor, _ADD_FILE_SYSTEM, _MASK, _HERE, folder))
            system = self._systems[self._mount.value] = struct.pack("=Q", os.statvfs(folder).f_fsid)
        return system + handle[: _SIZE_AND_KIND.size + _SIZE_AND_KIND.unpack_from(handle)[0]]

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def records(data: bytes) -> Iterator[Record]:
    """The records of what was read; an overflow has no folder."""
    position, end = 0, len(data)
    while position < end:
        length, _, _, start, mask, _, process = _EVENT.unpack_from(data, position)
        folder = name = file = b""
        at, position = position + start, position + length
        while at < position:
            kind, _, size = _INFO.unpack_from(data, at)
            body = at + _INFO.size
            inner = body + _ID + _SIZE_AND_KIND.size + _SIZE_AND_KIND.unpack_from(data, body + _ID)[0]
            if kind == _NAMED:
                folder, name = data[body:inner], data[inner : at + size].partition(b"\0")[0]
            elif kind == _FILE:
                file = data[body:inner]
            at += size
        yield Record(mask, process, folder, name, file)
