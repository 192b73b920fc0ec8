"""The packet that `orchgate new` writes: all of it or nothing, and the rest of one whose writer was killed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.new import unfinished
from orchgate.commands.new.unfinished import NOTHING, Begun
from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.digest import sha256_hex
from orchgate.lib.inside import git_name, require_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
                unfinished.forget(root, plan.slug)
            said = error if isinstance(error, files.WriteError) else files.failure(error.filename or "a folder", error)
            raise OrchgateError(f"{said.message}; nothing was kept", said.hint) from error
        undo.pop_all()


def _note(root: str, plan: PacketPlan) -> None:
    """Notes what is about to be written: whoever takes it up has to know it from the work of others."""
    known = dict(plan.begun.documents)
    for path, text in plan.files.items():
        known[path] = tuple(dict.fromkeys((*known.get(path, ()), sha256_hex(text.encode("utf-8")))))
    with contextlib.suppress(files.WriteError):  # then a killed one is not taken up
        unfinished.note(root, plan.slug, Begun(plan.task, plan.title, plan.mini_spec, known))


def _write(begun: Begun, path: str, full: str, data: bytes, undo: contextlib.ExitStack) -> None:
    """One document, unless somebody has worked on it since it was begun. Raises OSError, WriteError."""
    if path in begun.documents and os.path.lexists(full):
        if unfinished.is_untouched(begun, path, full):
            files.replace(full, data)
        return
    _make_folders(os.path.dirname(full), undo)
    files.create(full, data)
    undo.callback(_quietly, os.unlink, full)


def _drop(root: str, plan: PacketPlan) -> None:
    """Removes what was begun under another number, or at places that the configuration no longer names."""
    for path in plan.begun.documents:
        full = inside(root, path)
        if path not in plan.files and unfinished.is_untouched(plan.begun, path, full):
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
