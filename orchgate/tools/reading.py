"""What is read of files of tools: how they begin, their digests; and how a tool is told."""

from __future__ import annotations

import os

from orchgate.lib import files, hashes
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress
from orchgate.runs.used_tools import identity
from orchgate.secrets.redact import redacted
from orchgate.tools.kept import is_settled, keep, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.runs.used_tools import Environ, Facts, ProgramFile, UsedTools

LONGEST = 120  # characters of a name or a version
WHOLE_BYTES = 16 * 1024 * 1024  # of a file that is hashed as a whole
PYTHON = lazy(r"(python|pypy)([0-9]+(?:\.[0-9]+)*)?[a-z]?")  # the name of an interpreter's file
_KEPT_BYTES = 16 * 1024  # of a file of which it takes longer to read it than to look its digest up


class Launch(NamedTuple):
    """How a program is started: the folder it works in, and its variables."""

    cwd: str
    environ: Environ

    @property
    def folders(self) -> Sequence[str]:
        """The folders in which programs are looked for."""
        return self.environ.get("PATH", os.defpath).split(os.pathsep)


def by_digest(name: str, file: ProgramFile, used: UsedTools, *, version: str | None) -> Facts:
    """A program by its digest: of the file, or of parts of a large one.

    Raises OSError for what cannot be read, is not a regular file, or is not the file that was found.
    """
    source, _, digest = used.kept(file.key).partition(" ")
    if not digest:
        source = "file" if file.identity[2] <= WHOLE_BYTES else "parts"
        digest = _digest(file)
        if used.cache and file.identity[2] > _KEPT_BYTES and is_settled(file) and clean(name) == name:
            keep(used.cache, file.key, f"{source} {digest}")
    return facts(name, version, digest, source)


def _digest(file: ProgramFile) -> str:
    descriptor = files.open_regular(file.real)
    try:
        size = file.identity[2]
        if size < WHOLE_BYTES // 16:
            found = hashes.digest("sha256", os.pread(descriptor, size, 0)).hex()
        else:
            found = files.sha256_of_chunks(parts(descriptor, size, WHOLE_BYTES))[0]
        if identity(os.fstat(descriptor)) != file.identity:
            raise OSError(f"{file.real} changed while it was read")
    finally:
        os.close(descriptor)
    return found


def facts(name: str, version: str | None, sha256: str | None, source: str) -> Facts:
    """A tool as a journal has it, whatever its name and version are made of."""
    return {"name": clean(name), "version": clean(version) if version else None, "sha256": sha256, "source": source}


def clean(line: str) -> str:
    """One line of printable text of bounded length, without secrets."""
    line = " ".join(line[: 4 * LONGEST].split())
    shown = redacted(line if line.isprintable() else "".join(one if one.isprintable() else "?" for one in line))
    return shown[:LONGEST] or "?"


def head(path: str, size: int) -> bytes:
    """How a regular file begins. Raises OSError."""
    descriptor = files.open_regular(path)
    try:
        return os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)


def text(path: str, limit: int = 64 * 1024) -> str:
    """How a text begins, of which nobody else says what is in it; "" for none. No errors."""
    with suppress(OSError, ValueError):
        return head(path, limit).decode("utf-8", "replace")
    return ""
