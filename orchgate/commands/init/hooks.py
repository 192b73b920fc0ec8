"""Where hooks live in a repository, what has to be done there, and the lines of shell in them that ask the gate."""

from __future__ import annotations

import json
import os
import re
import sys

from orchgate.commands.init.edits import Edit, is_executable, read
from orchgate.errors import OrchgateError, quoted
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.git.repository import Repository


INSTALL = "pipx install orchgate"
MISSING = f"orchgate is missing, nothing was checked; to install it: {INSTALL}"
_BEGIN = "# >>> orchgate (written by `orchgate init`, removed by `orchgate init --remove`)"
_END = "# <<< orchgate"
_OLD = "#!/bin/sh\n# written by orchgate init --native\n"  # of 0.1.0: an `exec` line followed
_SHEBANG = "#!/bin/sh\n"
_BLOCK = lazy(r"^# >>> orchgate .*?^# <<< orchgate[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_CALLS = lazy(r"^[^#\n]*\borchgate[\"']?[ \t]+hook[ \t]+([a-z-]+)", re.MULTILINE)
_HUSKY = lazy(r"^[ \t]*\.[ \t].*husky\.sh.*(?:\r?\n|\Z)", re.MULTILINE)
_SHELL = lazy(r"#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-S[ \t]+)?)?(?:ba|da|z|k|a)?sh\b")


def block(hook: str, program: str = "", *, others: bool = False) -> str:
    """The lines for one hook. `program` is where orchgate is on this machine, for a hook that is nobody else's.

    `others` says that more commands follow, which may want what git writes to the hook's standard input.
    """
    name = '"$orchgate"' if program else "orchgate"
    where = [f"orchgate={quoted(program)}", '[ -x "$orchgate" ] || orchgate=orchgate'] if program else []
    lines = [
        _BEGIN,
        *where,
        # Where pipx and uv put programs; desktop programs start hooks without it.
        f'command -v {name} >/dev/null 2>&1 || PATH="$PATH:$HOME/.local/bin"',
        f"if ! command -v {name} >/dev/null 2>&1; then",
        f'  echo "{MISSING}" >&2',
        "  exit 3",
        "fi",
        *(_shared_input(name) if others and hook == "pre-push" else [f'{name} hook {hook} "$@" || exit $?']),
        _END,
    ]
    return "\n".join(lines) + "\n"


def _shared_input(name: str) -> list[str]:
    """What is read has to be there again for the commands below, such as `git lfs pre-push`."""
    return [
        "if [ -c /dev/stdin ]; then",  # a terminal, or /dev/null: orchgate says why it cannot judge
        f'  {name} hook pre-push "$@" || exit $?',
        "else",
        "  orchgate_refs=$(cat)",
        '  printf %s "${orchgate_refs:+$orchgate_refs',
        f'}}" | {name} hook pre-push "$@" || exit $?',
        '  [ -z "$orchgate_refs" ] || exec <<ORCHGATE',
        "$orchgate_refs",
        "ORCHGATE",
        "fi",
    ]


def whole(hook: str, program: str = "") -> str:
    """A hook that does nothing else."""
    return _SHEBANG + block(hook, program)


def is_ours(text: str, hook: str) -> bool:
    """Whether a hook holds nothing but what we write or once wrote, all of it or its beginning, of any program."""
    if not text.strip("\0\ufeff \t\r\n") or _OLD.startswith(text):
        return True
    if text.startswith(_OLD):
        line, _, more = text.removeprefix(_OLD).partition("\n")
        return not more and (line.startswith("exec ") or "exec ".startswith(line))
    if without(text) == _SHEBANG != text:
        return True
    program = f"{_SHEBANG}{_BEGIN}\norchgate="
    if not text.startswith(program):
        return whole(hook).startswith(text) or program.startswith(text)
    named, found, _ = text.removeprefix(program).partition("\n")
    return not found or whole(hook, "\0").replace("'\0'", named).startswith(text)


def calls(text: str, hook: str) -> bool:
    """Whether a hook asks the gate, by our lines or somebody's own."""
    return any(found == hook for found in _CALLS.findall(text))


def is_shell(text: str) -> bool:
    """Whether a hook's interpreter understands our lines; git runs one without a first line of its kind by sh."""
    return not text.startswith("#!") or _SHELL.match(text) is not None


def added(text: str, hook: str, program: str = "") -> str:
    """A hook with our lines first, renewed where they are there already; every other byte stays."""
    rest = without(text)
    others = any(line.strip() and not line.lstrip().startswith("#") for line in _HUSKY.sub("", rest).splitlines())
    lines = block(hook, program, others=others)
    if found := _BLOCK.search(text):
        return text[: found.start()] + lines + text[found.end() :]
    at = _start(text)
    before = text[:at]
    return before + ("\n" if before and not before.endswith("\n") else "") + lines + text[at:]


def _start(text: str) -> int:
    if sourced := _HUSKY.search(text):
        return sourced.end()
    return text.find("\n") + 1 or len(text) if text.startswith("#!") else 0


def without(text: str) -> str:
    """A hook without our lines."""
    return _BLOCK.sub("", text)


def one_line(command: Sequence[str]) -> str:
    """A command for `sh -c` in a configuration, which says how to install orchgate where it is missing."""
    return f"command -v orchgate >/dev/null || {{ echo '{MISSING}' >&2; exit 3; }}; {' '.join(command)}"


# Where hooks live in a repository, and what has to be done there


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
