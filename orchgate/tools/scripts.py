"""What is behind a program that is a script: its interpreter, the package that brought it, or a shim that chooses."""

from __future__ import annotations

import os

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.used_tools import find
from orchgate.tools import packages
from orchgate.tools.installations import of_native
from orchgate.tools.reading import PYTHON, by_digest, facts, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.runs.used_tools import Facts, ProgramFile, UsedTools
    from orchgate.tools.packages import Origin
    from orchgate.tools.reading import Launch

    Look = Callable[[str, ProgramFile, UsedTools, Launch], Iterator[Facts]]

_READ = 8 * 1024  # bytes of a script
_MOST_LEVELS = 64  # folders above the one of a stage
# How installers write a path that is too long for the first line, or holds a blank.
_SECOND_LINE = lazy(r"""\A#!/bin/sh\n'''exec' (?:"([^"\n]+)"|(\S+)) """)
_OPTION_OF_ENV = lazy(r"-\S+|[A-Za-z_]\w*=\S*")
_BASEDIR = lazy(r'"\$basedir/((?:\.\./)+[^"\n]+)"')
# Programs in a folder `shims` that start one of several installed versions: its own name, and the language.
_SHIMS = {"pyenv": "python", "rbenv": "ruby", "nodenv": "node", "goenv": "go", "jenv": "java", "plenv": "perl"}


def of_script(name: str, file: ProgramFile, used: UsedTools, at: Launch, follow: Look) -> Iterator[Facts]:
    """The tools behind a script, with what looks at the program of a shim. Raises OSError."""
    script = text(file.real, _READ)
    if os.path.basename(os.path.dirname(file.path)) == "shims" and (manager := _manager(script)):
        if chosen := _chosen(name, manager, file, at):
            yield from follow(name, chosen, used, at)
        else:
            yield facts(name, None, None, "shim")
        return
    interpreter = _interpreter(script, at)
    if origin := _origin(name, script, file, interpreter, used.root):
        yield from () if origin.of_tree else (facts(name, origin.version, None, "package"),)
    elif not used.is_inside(file.real):
        yield by_digest(name, file, used, version=None)
    if interpreter and not _is_script(interpreter.real):  # one that is a script may be run by itself
        yield from of_native(os.path.basename(interpreter.path), interpreter, used)


def _origin(name: str, text: str, file: ProgramFile, interpreter: ProgramFile | None, root: str) -> Origin | None:
    """What brought a script, by npm or by Python; None for none."""
    if "/node_modules/" in file.real:
        inner = _BASEDIR.search(text) if os.path.basename(os.path.dirname(file.real)) == ".bin" else None
        path = os.path.join(os.path.dirname(file.real), inner[1]) if inner else file.real
        return packages.of_node_file(os.path.realpath(path), root)
    if interpreter and PYTHON.fullmatch(os.path.basename(interpreter.real)):
        return packages.of_script(name, text, interpreter, root)
    return None


def _interpreter(text: str, at: Launch) -> ProgramFile | None:
    """The program that the first lines of a script name; None where it is not there."""
    if long := _SECOND_LINE.match(text):
        return find(long[1] or long[2], at.cwd, ())
    words = text[2:].partition("\n")[0].split()
    if not words:
        return None
    if os.path.basename(words[0]) != "env":
        return find(words[0], at.cwd, ()) if "/" in words[0] else None
    named = next((word for word in words[1:] if not _OPTION_OF_ENV.fullmatch(word)), "")
    return find(named, at.cwd, at.folders) if named else None


def _is_script(path: str) -> bool:
    return text(path, 2) == "#!"


def _manager(text: str) -> str:
    """Which program a shim asks; "" where it is none that is known."""
    return next((one for one in (*_SHIMS, "asdf", "mise") if one in text), "")


def _chosen(name: str, manager: str, shim: ProgramFile, at: Launch) -> ProgramFile | None:
    """The program that a shim starts, found as its manager finds it; None where it is not there."""
    top = os.path.dirname(os.path.dirname(shim.path))
    for version in _versions(manager, top, at):
        if "/" not in version and version not in ("", ".", ".."):
            found = find(os.path.join(top, "versions", version, "bin", name), at.cwd, ())
            if found and os.path.basename(os.path.dirname(found.real)) != "shims":
                return found
    return None


def _versions(manager: str, top: str, at: Launch) -> list[str]:
    """The versions that are asked for: by a variable, by a file in the folder or above it, or for all."""
    language = _SHIMS.get(manager)
    if not language:
        return []
    if told := at.environ.get(f"{manager.upper()}_VERSION"):
        return told.split(":")
    folder = at.cwd
    for _ in range(_MOST_LEVELS):
        if told := text(os.path.join(folder, f".{language}-version"), 4096):
            return _listed(told)
        if folder == os.path.dirname(folder):
            break
        folder = os.path.dirname(folder)
    return _listed(text(os.path.join(top, "version"), 4096))


def _listed(text: str) -> list[str]:
    return [word for line in text.splitlines() for word in line.partition("#")[0].split()]
