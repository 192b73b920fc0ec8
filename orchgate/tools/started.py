"""Which programs a stage starts, as far as its command tells: behind wrappers, and in a line for a shell.

A line is read, not run. From where it changes PATH, or reads a file that may, its programs are not known; but for the
script that activates a virtual environment.
"""

from __future__ import annotations

import os

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.plan_commands.requested_names import SHELL_NAMES, behind_wrapper, command_line
from orchgate.plan_commands.shell import ShellCommand, ShellWord, one_of, script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_NESTING = 8
MOST_TEXT = 64 * 1024  # characters of a line
_MOST_LEVELS = 64  # folders above the one of a stage
_PATH_SET = lazy(r"(?:\A|[\s;&|(])(?:export\s+)?PATH\+?=")
_ACTIVATE = lazy(r"(.+/bin)/activate")
_BUILTINS = one_of(
    ". : [ alias bg break builtin cd command continue declare dirs echo eval exec exit export false fg getopts hash "
    "help history jobs kill let local popd printf pushd pwd read readonly return select set shift shopt source test "
    "times trap true type typeset ulimit umask unalias unset wait"
)
# Wrappers that are tools of their own, and where the programs are that they start; the others are part of any system.
_NODE, _VENV, _ELSEWHERE = "node_modules/.bin", ".venv/bin", ""
_RUNNERS = {
    **dict.fromkeys(("npx", "npm", "pnpm", "yarn", "bunx"), _NODE),
    **dict.fromkeys(("uv", "poetry", "pipenv"), _VENV),
    **dict.fromkeys(("uvx", "pipx"), _ELSEWHERE),
}
_BRINGING = ("dlx",)  # of a package that is not installed here


class ProgramStart(NamedTuple):
    """A program by its name, the folder it starts in, and those in which its file is looked for.

    `module` is what a Python runs by `-m`, "" for nothing.
    """

    name: str
    folder: str
    folders: Sequence[str]
    module: str = ""


def started(argv: Sequence[str], shell: str, cwd: str, root: str, folders: Sequence[str]) -> Iterator[ProgramStart]:
    """The programs of a stage that works in a folder of the work tree `root`, with PATH as a list of folders."""
    if shell:
        yield from _of_line(shell, cwd, root, folders)
    elif argv:
        command = ShellCommand(0, "", tuple(map(ShellWord, argv)))
        yield from _of_command(command, cwd, root, folders)


def _of_line(text: str, cwd: str, root: str, folders: Sequence[str], depth: int = 0) -> Iterator[ProgramStart]:
    if len(text) > MOST_TEXT or depth > MOST_NESTING or _PATH_SET.search(text):
        return
    for command in script(text)[0]:
        name = command.words[0].text
        folder = None if command.folder is None else os.path.join(cwd, command.folder)
        if name in (".", "source"):
            activated = _ACTIVATE.fullmatch(command.words[1].text) if len(command.words) > 1 else None
            if not activated or folder is None or not command.words[1].literal:
                return
            folders = (os.path.join(folder, activated[1]), *folders)
        elif name == "eval" or not command.words[0].literal:
            return
        elif folder is not None and _is_program(name, command):
            yield from _of_command(command, folder, root, folders, depth)


def _is_program(name: str, command: ShellCommand) -> bool:
    return name not in _BUILTINS or (name in ("exec", "command") and behind_wrapper(command) is not None)


def _of_command(
    command: ShellCommand, cwd: str, root: str, folders: Sequence[str], depth: int = 0
) -> Iterator[ProgramStart]:
    for _ in range(MOST_NESTING):
        if "PATH" in command.env:
            return
        inner = behind_wrapper(command)
        if inner is None:
            break
        name = os.path.basename(command.words[0].text)
        if name in _RUNNERS:
            yield ProgramStart(command.words[0].text, cwd, folders)
            if not _RUNNERS[name] or any(word.text in _BRINGING for word in command.words[1:2]):
                return
            folders = (*_nearest(_RUNNERS[name], cwd, root), *folders)
        command = inner
    yield ProgramStart(command.words[0].text, cwd, folders, _module(command.argv))
    if os.path.basename(command.words[0].text) in SHELL_NAMES and (line := command_line(command)) is not None:
        yield from _of_line(line, cwd, root, folders, depth + 1)


def _module(argv: Sequence[str]) -> str:
    """The module that a Python is told to run."""
    if not os.path.basename(argv[0]).startswith(("python", "pypy")) or "-m" not in argv[1:-1]:
        return ""
    at = argv.index("-m", 1)
    return argv[at + 1] if all(word.startswith("-") for word in argv[1:at]) else ""


def _nearest(inner: str, cwd: str, root: str) -> Iterator[str]:
    """The folders of that name at a folder and above it, up to the top of the work tree."""
    folder = cwd
    for _ in range(_MOST_LEVELS):
        yield os.path.join(folder, inner)
        if folder in (root, os.path.dirname(folder)):
            return
        folder = os.path.dirname(folder)
