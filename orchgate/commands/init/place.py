"""Where hooks live in a repository, and what has to be done there."""

from __future__ import annotations

import json
import os
import sys

from orchgate.commands.init.edits import Edit, is_executable, read
from orchgate.commands.init.hook_block import INSTALL
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository

HOOK_TYPES = ("pre-commit", "pre-merge-commit", "commit-msg", "pre-push")
# What hook runners write into the scripts that they generate.
GENERATED: Mapping[str, str] = {"pre-commit": "pre-commit.com", "prek": "prek", "lefthook": "lefthook"}
_MAX_PACKAGE = 4 * 1024 * 1024


class Place(NamedTuple):
    """A work tree. `hooks` is the folder in which git looks for hooks, `hooks_path` what `core.hooksPath` says."""

    repository: Repository
    root: str
    hooks: str
    hooks_path: str

    def shown(self, path: str) -> str:
        return os.path.relpath(path, self.root)

    @property
    def common_dir(self) -> str:
        named = os.fsdecode(self.repository.git("rev-parse", "--git-common-dir")).removesuffix("\n")
        return os.path.abspath(os.path.join(self.repository.git.cwd or os.getcwd(), named))

    def has(self, *parts: str) -> bool:
        return os.path.lexists(os.path.join(self.root, *parts))

    def hook_text(self, hook: str) -> str:
        """A hook as git finds it; "" where there is none that can be read."""
        return read(os.path.join(self.hooks, hook)) or ""


class InstallHooks(NamedTuple):
    """A runner's command that puts its scripts where git looks; () where that program is not here.

    `line` is what a person types, in each clone.
    """

    command: tuple[str, ...]
    line: str


class Plan(NamedTuple):
    """What to write, what to run afterwards, what is there already (`kept`), and what else has to be known.

    `found` says what was found, before anything is done.
    """

    edits: tuple[Edit, ...] = ()
    install: InstallHooks | None = None
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


class InTheWay(OrchgateError):
    """Something stands where our hooks belong. `told` are lines for whoever has to decide."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(
            "there are other hooks already; nothing was written",
            "do what is printed above for each, then run `orchgate init` again",
        )
        self.told = told


def each_clone(command: str = "", *, published: bool = False) -> str:
    """What a colleague types once."""
    needed = [*([] if published else [INSTALL]), *([command] if command else [])]
    return f"each colleague needs once: {' && '.join(needed)}"


def of(repository: Repository) -> Place:
    """Raises GitError."""
    named = os.fsdecode(repository.git("rev-parse", "--git-path", "hooks")).removesuffix("\n")
    folder = os.path.abspath(os.path.join(repository.git.cwd or os.getcwd(), os.path.expanduser(named)))
    said = repository.git.attempt("config", "--get", "core.hooksPath")
    return Place(repository, repository.root, folder, os.fsdecode(said.stdout).strip() if said.code == 0 else "")


def package(root: str) -> dict[str, object]:
    """What package.json says; nothing where there is none, or none that is JSON. It is never written."""
    from orchgate.lib import files

    try:
        found = json.loads(files.read(os.path.join(root, "package.json"), _MAX_PACKAGE))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def generated_by(text: str) -> str:
    """The runner that wrote a hook; "" for a person's."""
    return next((name for name, mark in GENERATED.items() if mark in text), "")


def is_installed(place: Place, hook: str, mark: str) -> bool:
    """Whether a runner's own script stands where git looks for a hook, and git would run it."""
    return mark in place.hook_text(hook) and is_executable(os.path.join(place.hooks, hook))


def find_program(name: str) -> str:
    """Where a program is; "" when it is not here."""
    import shutil

    beside = os.path.join(os.path.dirname(sys.executable), name)
    return beside if os.access(beside, os.X_OK) else shutil.which(name) or ""
