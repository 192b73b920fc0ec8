"""What `orchgate init` changes: worked out before the first byte is written, shown as a diff, done whole or not."""

from __future__ import annotations

import contextlib
import difflib
import os
import stat

from orchgate.errors import OrchgateError, quoted
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BYTES = 1024 * 1024  # of a file that is looked into
_NOTHING = "\0\ufeff \t\r\n"  # a power cut leaves zeros


class Edit(NamedTuple):
    """One file: its text before and after, None where there is none. Bytes that are no UTF-8 are lone surrogates.

    `about` says why, for people. `executable` asks for a file that can be run.
    """

    path: str
    before: str | None
    after: str | None
    about: str = ""
    executable: bool = False

    @property
    def said(self) -> str:
        return f"{self.path} ({self.about})" if self.about else self.path


def text(root: str, path: str) -> str | None:
    """The text of a file with its line ends; None where there is none. Raises OrchgateError for what is no text."""
    full = os.path.join(root, path)
    if not os.path.lexists(full):
        return None
    if os.path.islink(full):
        target = f"{path} is a symbolic link to {os.readlink(full)}"
        raise OrchgateError(target, "put the file itself there, or add orchgate to the file that it leads to")
    try:
        return files.read(full, MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        reason = getattr(error, "reason", "") or error.strerror or str(error)
        raise OrchgateError(f"{path} cannot be read: {reason}", f"ls -ld {quoted(path)}") from error


def read(path: str) -> str | None:
    """The text of a file with its line ends; None when it cannot be read as text."""
    try:
        return files.read(path, MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def is_blank(content: str) -> bool:
    """Whether a file holds nothing that anybody wrote."""
    return not content.strip(_NOTHING)


def is_comment(text: str) -> bool:
    """Whether a file holds comments and nothing that has an effect."""
    lines = (line.strip() for line in text.splitlines())
    return all(not line or line.startswith("#") or line == "---" for line in lines)


def is_executable(path: str) -> bool:
    try:
        return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o111)
    except OSError:
        return False


def line_end(content: str) -> str:
    return "\r\n" if "\r\n" in content else "\n"


def require_writable(root: str, edits: Iterable[Edit]) -> None:
    """Raises OrchgateError that names every folder in which nothing may be written."""
    folders = dict.fromkeys(_existing(os.path.dirname(os.path.join(root, edit.path))) for edit in edits)
    shut = [folder for folder in folders if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK)]
    if shut:
        named = ", ".join(os.path.relpath(folder, root) for folder in shut)
        raise OrchgateError(f"cannot write in {named}; nothing was written", f"ls -ld {quoted(shut[0])}")


def _existing(folder: str) -> str:
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return folder


@contextlib.contextmanager
def applied(root: str, edits: Sequence[Edit]) -> Iterator[None]:
    """The edits, made. When one fails, or what comes after them, everything is as it was before. Raises WriteError."""
    done: list[Edit] = []
    modes: dict[str, int] = {}
    made: list[str] = []
    try:
        for edit in edits:
            full = os.path.join(root, edit.path)
            with contextlib.suppress(OSError):
                modes[edit.path] = stat.S_IMODE(os.lstat(full).st_mode)
            made += _missing(os.path.dirname(full))
            done.append(edit)
            _write(full, edit.before, edit.after, executable=edit.executable)
        yield
    except BaseException:
        for edit in reversed(done):
            with contextlib.suppress(OSError, OrchgateError):
                full = os.path.join(root, edit.path)
                _write(full, edit.after, edit.before, executable=False)
                if edit.path in modes:
                    os.chmod(full, modes[edit.path])
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        raise


def _missing(folder: str) -> list[str]:
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


def _write(full: str, before: str | None, after: str | None, *, executable: bool) -> None:
    """Raises WriteError; then what was there is there still."""
    if after is None:
        try:
            os.unlink(full)
        except FileNotFoundError:
            return
        except OSError as error:
            raise files.failure(full, error) from error
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(full))  # only an empty folder goes
        return
    files.make_folders(os.path.dirname(full))
    put = files.replace if before is not None or os.path.lexists(full) else files.create
    put(full, after.encode("utf-8", "surrogateescape"), executable=executable)


def diff(root: str, edits: Iterable[Edit]) -> Iterator[str]:
    """A unified diff as `git apply` takes it, lines without their ends."""
    for edit in edits:
        old, new = (None if one is None else one.splitlines(keepends=True) for one in (edit.before, edit.after))
        yield f"diff --git a/{edit.path} b/{edit.path}"
        yield from _modes(root, edit)
        names = ("/dev/null" if old is None else f"a/{edit.path}", "/dev/null" if new is None else f"b/{edit.path}")
        for line in difflib.unified_diff(old or [], new or [], *names, lineterm="\n"):
            yield line.rstrip("\r\n")
            if not line.endswith("\n"):
                yield "\\ No newline at end of file"


def _modes(root: str, edit: Edit) -> Iterator[str]:
    if edit.before is None:
        yield f"new file mode 100{'755' if edit.executable else '644'}"
    elif edit.after is None:
        yield f"deleted file mode 100{'755' if is_executable(os.path.join(root, edit.path)) else '644'}"
    elif edit.executable and not is_executable(os.path.join(root, edit.path)):
        yield from ("old mode 100644", "new mode 100755")
