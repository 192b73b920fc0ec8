"""The packet that `orchgate new` writes: all of it or nothing, and the rest of one whose writer was killed.

What is begun is noted in the git folder before the first document is written, for whoever takes it up.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.errors import OrchgateError
from orchgate.lib import files, json_data, temporary
from orchgate.lib.files import sha256_hex
from orchgate.lib.paths import git_name, require_inside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

VERSION = 1
MAX_BYTES = 1024 * 1024
_FOLDER, _SUFFIX = "new", ".json"


class Begun(NamedTuple):
    """A packet that may be there in part. `documents` by path, each with the SHA-256 of all that we wrote there."""

    task: str
    title: str
    mini_spec: bool
    documents: Mapping[str, tuple[str, ...]]


NOTHING = Begun("", "", mini_spec=False, documents={})


def unfinished(root: str, slug: str) -> Begun:
    """What was begun under a slug; NOTHING where nothing was, or what is noted is not ours."""
    path = _note_path(root, slug)
    return (_read_note(path) if path else None) or NOTHING


def unfinished_tasks(root: str) -> list[str]:
    """The tasks of every packet that was begun and not finished: their numbers are taken."""
    return [begun.task for path in _paths(root) if (begun := _read_note(path)) is not None]


def note_begun(root: str, slug: str, begun: Begun) -> None:
    """Raises WriteError."""
    import json

    if path := _note_path(root, slug):
        document = {"version": VERSION, **begun._asdict()}
        files.make_folders(os.path.dirname(path))
        files.replace(path, json.dumps(document).encode("ascii"))


def forget_begun(root: str, slug: str) -> None:
    if path := _note_path(root, slug):
        with contextlib.suppress(OSError):
            os.unlink(path)


def is_untouched(begun: Begun, path: str, full: str) -> bool:
    """Whether a document is as we wrote it: nobody has worked on it since."""
    try:
        return sha256_hex(files.read(full, MAX_BYTES)) in begun.documents.get(path, ())
    except OSError:
        return False


def _folder(root: str) -> str:
    git = temporary.git_folder(os.path.join(root, _FOLDER))
    return os.path.join(git, temporary.FOLDER, _FOLDER) if git else ""


def _note_path(root: str, slug: str) -> str:
    folder = _folder(root)
    return os.path.join(folder, slug + _SUFFIX) if folder else ""


def _paths(root: str) -> Iterator[str]:
    folder = _folder(root)
    with contextlib.suppress(OSError):
        yield from (os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(_SUFFIX))


def _read_note(path: str) -> Begun | None:
    try:
        return _built(json_data.read(path, MAX_BYTES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _built(value: Mapping[str, Any]) -> Begun | None:
    """Raises KeyError, TypeError, AttributeError, ValueError."""
    if value["version"] != VERSION or not isinstance(value["task"], str) or not isinstance(value["title"], str):
        return None
    documents = {str(path): tuple(map(str, digests)) for path, digests in value["documents"].items()}
    # What no file can be called: a null character, half a character.
    if b"\0" in os.fsencode("".join((value["task"], *documents))):
        return None
    return Begun(value["task"], value["title"], value["mini_spec"] is True, documents)


CONFIGURED = "orchgate config show"


class PacketPlan(NamedTuple):
    """What would be written: new files by path, and the new text of the task list when there is one.

    `begun` is what a killed one left of the same packet.
    """

    task: str
    files: Mapping[str, str]
    tasks: tuple[str, str] | None
    slug: str
    title: str
    mini_spec: bool
    begun: Begun = NOTHING


def inside(root: str, path: str) -> str:
    """The place of a path in the work tree. Raises OrchgateError when it leads out of it, through a link too."""
    if os.path.isabs(path) or ".." in path.split("/"):
        raise OrchgateError(f"{path} leaves the repository; nothing was written", CONFIGURED)
    if named := git_name(path):
        raise OrchgateError(f"{path}: {named!r} is a name that git keeps for itself; nothing was written", CONFIGURED)
    full = os.path.join(os.path.realpath(root), path)
    require_inside(root, full)
    return full


def write(root: str, plan: PacketPlan) -> None:
    """Writes all of a plan or nothing: on any failure what was made is removed again. Raises OrchgateError.

    The note stays until the caller has said what was written, and forgets it.
    """
    with contextlib.ExitStack() as undo:
        try:
            _note(root, plan)
            for path, text in plan.files.items():
                _write(plan.begun, path, inside(root, path), text.encode("utf-8"), undo)
            _drop(root, plan)
            if plan.tasks:
                files.replace(os.path.realpath(inside(root, plan.tasks[0])), plan.tasks[1].encode("utf-8"))
        except (OSError, files.WriteError) as error:
            if not plan.begun.task:
                forget_begun(root, plan.slug)
            failure = (
                error if isinstance(error, files.WriteError) else files.failure(error.filename or "a folder", error)
            )
            raise OrchgateError(f"{failure.message}; nothing was kept", failure.hint) from error
        undo.pop_all()


def _note(root: str, plan: PacketPlan) -> None:
    """Notes what is about to be written: whoever takes it up has to know it from the work of others."""
    known = dict(plan.begun.documents)
    for path, text in plan.files.items():
        known[path] = tuple(dict.fromkeys((*known.get(path, ()), sha256_hex(text.encode("utf-8")))))
    with contextlib.suppress(files.WriteError):  # then a killed one is not taken up
        note_begun(root, plan.slug, Begun(plan.task, plan.title, plan.mini_spec, known))


def _write(begun: Begun, path: str, full: str, data: bytes, undo: contextlib.ExitStack) -> None:
    """One document, unless somebody has worked on it since it was begun. Raises OSError, WriteError."""
    if path in begun.documents and os.path.lexists(full):
        if is_untouched(begun, path, full):
            files.replace(full, data)
        return
    _make_folders(os.path.dirname(full), undo)
    files.create(full, data)
    undo.callback(_quietly, os.unlink, full)


def _drop(root: str, plan: PacketPlan) -> None:
    """Removes what was begun under another number, or at places that the configuration no longer names."""
    for path in plan.begun.documents:
        full = inside(root, path)
        if path not in plan.files and is_untouched(plan.begun, path, full):
            os.unlink(full)


def _make_folders(folder: str, undo: contextlib.ExitStack) -> None:
    missing: list[str] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)
        undo.callback(_quietly, os.rmdir, path)


def _quietly(remove: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(OSError):  # somebody else put something there
        remove(path)
