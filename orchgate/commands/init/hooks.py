"""The hooks that `orchgate init` looks after: scripts of our own, and those that pre-commit installs."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from orchgate.commands.init.files import MAX_BYTES, Write, is_blank, is_executable, planned, read
from orchgate.commands.init.hook_config import HOOK_TYPES
from orchgate.errors import OrchgateError, quoted
from orchgate.lib import files

if TYPE_CHECKING:
    from orchgate.git.repository import Repository

MARK = "# written by orchgate init --native"
PRE_COMMIT_MARK = b"pre-commit.com"  # what pre-commit writes into the hooks it installs, near the top
PRE_COMMIT_END = b"fi\n"  # how its hooks end
_START = f"#!/bin/sh\n{MARK}\n"


class InTheWay(OrchgateError):
    """Something else stands where our hooks belong. `told` are lines for whoever has to decide."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(
            "there are other hooks already; nothing was written",
            "do what is printed above for each, then run `orchgate init` again",
        )
        self.told = told


def native(repository: Repository) -> list[Write | str]:
    """One script a hook. Raises InTheWay when something of somebody else's is there."""
    folder = _folder(repository)
    program = _program()
    outcomes: list[Write | str] = []
    told: list[str] = []
    for hook in HOOK_TYPES:
        script = f'{_START}exec {program} hook {hook} "$@"\n'
        shown = os.path.relpath(os.path.join(folder, hook), repository.root)
        fault = _fault(os.path.join(folder, hook), hook, script, shown)
        if fault:
            told.append(f"{shown}: {fault}")
        elif _asks(os.path.join(folder, hook), hook, script):
            outcomes.append(f"{shown}: it calls orchgate")
        else:
            outcomes.append(planned(repository.root, shown, script, executable=True))
    if told:
        raise InTheWay(told)
    return outcomes


def _asks(path: str, hook: str, script: str) -> bool:
    """Whether a hook is there, asks the gate, and is one that git runs."""
    text = read(path)
    return text is not None and is_executable(path) and (text == script or _calls(text, hook))


def _calls(text: str, hook: str) -> bool:
    """Whether a hook that somebody wrote, or added lines to, calls the gate."""
    return f"orchgate hook {hook}" in text and not _is_ours(text)


def _is_ours(text: str) -> bool:
    """Whether a hook holds nothing but what we write, all of it or its beginning, whichever program it names."""
    if is_blank(text) or _START.startswith(text):
        return True
    line, _, more = text.removeprefix(_START).partition("\n")
    return text.startswith(_START) and not more and (line.startswith("exec ") or "exec ".startswith(line))


def _fault(path: str, hook: str, script: str, shown: str) -> str:
    """Why nothing of ours may be put in a hook's place, and what to do; "" when it may, or is there."""
    if not os.path.lexists(path):
        return ""
    if os.path.isdir(path):
        return f"a directory, which git does not run; move it away:\n  mv {quoted(shown)} {quoted(shown + '.old')}"
    if not os.path.exists(path):
        return f"a broken link; remove it:\n  rm {quoted(shown)}"
    text = read(path)
    if text is not None and _calls(text, hook):
        return (
            "" if is_executable(path) else f"it is not executable, so git does not run it:\n  chmod +x {quoted(shown)}"
        )
    ours = text is not None and _is_ours(text)
    linked = os.path.islink(path)
    if ours and (not linked or _asks(path, hook, script)):
        return ""
    return f'add the line\n  orchgate hook {hook} "$@" || exit $?'


def _folder(repository: Repository) -> str:
    """Where git looks for hooks. Raises OrchgateError when that folder serves other repositories, too."""
    named = os.fsdecode(repository.git("rev-parse", "--git-path", "hooks")).removesuffix("\n")
    folder = os.path.abspath(os.path.join(repository.git.cwd or os.getcwd(), os.path.expanduser(named)))
    common = os.fsdecode(repository.git("rev-parse", "--git-common-dir")).removesuffix("\n")
    homes = (repository.root, os.path.abspath(os.path.join(repository.git.cwd or os.getcwd(), common)))
    if not any(os.path.realpath(folder).startswith(os.path.realpath(home) + os.sep) for home in homes):
        raise OrchgateError(
            f"core.hooksPath is {folder}, outside of this repository",
            'call `orchgate hook NAME "$@"` from there, or `git config core.hooksPath .githooks`',
        )
    return folder


def _program() -> str:
    """How a hook starts this orchgate, quoted for sh. Hooks of a desktop program have another PATH."""
    import shutil

    beside = os.path.join(os.path.dirname(sys.executable), "orchgate")
    return quoted(beside if os.access(beside, os.X_OK) else shutil.which("orchgate") or "orchgate")


# pre-commit's


def _place(repository: Repository, hook: str) -> str:
    named = os.fsdecode(repository.git("rev-parse", "--git-path", f"hooks/{hook}")).removesuffix("\n")
    return os.path.join(repository.git.cwd or os.getcwd(), named)


def _content(path: str) -> bytes:
    try:
        return files.read(path, MAX_BYTES)
    except OSError:
        return b""


def is_installed(repository: Repository, hook: str) -> bool:
    """Whether pre-commit's own script stands where git looks for a hook, whole, and git would run it."""
    path = _place(repository, hook)
    content = _content(path)
    return PRE_COMMIT_MARK in content and content.endswith(PRE_COMMIT_END) and is_executable(path)


def clear(repository: Repository) -> None:
    """Removes hooks that hold nothing, and pre-commit's own that were cut short.

    It would keep them under another name, and run them from then on.
    """
    for hook in HOOK_TYPES:
        path = _place(repository, hook)
        content = _content(path)
        cut = PRE_COMMIT_MARK in content and not content.endswith(PRE_COMMIT_END)
        if os.path.isfile(path) and not os.path.islink(path) and (cut or is_blank(content.decode("utf-8", "replace"))):
            with contextlib.suppress(OSError):
                os.unlink(path)
