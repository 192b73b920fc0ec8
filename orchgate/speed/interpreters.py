"""Which programs the words of a pipeline's commands are on this machine: other ones make another measurement."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.runner.environment import unhooked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.runs.stages import Pipeline, Stage

_MOST = 64  # words of a command that are looked up
_FIRST_LINE = 256  # bytes
_LARGEST_SCRIPT = 1 << 16
_OF_GIT = "git-core"  # the folder that git puts first for its hooks; the same question is asked without one, too


def of_question(config: Config, root: str, environ: Mapping[str, str]) -> tuple[object, ...]:
    """PATH, and each program that the pipeline's commands name, as what it is. No errors."""
    path = unhooked(environ).get("PATH", os.defpath)
    found = dict.fromkeys(_programs(config.performance.prepare, path))
    for stage in _stages(config, root):
        words = stage.argv or ("/bin/sh", *_words(stage.shell))
        found |= dict.fromkeys(_programs(words, stage.env.get("PATH", path)))
    return (":".join(part for part in path.split(os.pathsep) if os.path.basename(part) != _OF_GIT), *found)


def _stages(config: Config, root: str) -> Iterator[Stage]:
    from orchgate.runs.pipeline import load_all

    pipelines: Mapping[str, Pipeline] = {}
    with contextlib.suppress(OrchgateError):  # it is said where it matters, when it is to be run
        pipelines = load_all(root, config)
    waiting, seen = [config.performance.pipeline], set()
    while waiting:
        name = waiting.pop()
        if name in pipelines and name not in seen:
            seen.add(name)
            yield from pipelines[name].stages
            waiting += [stage.pipeline for stage in pipelines[name].stages if stage.pipeline]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _programs(words: Iterable[str], path: str) -> Iterator[tuple[object, ...]]:
    """Those of a command's words that name programs outside of the tree, and what runs the scripts among them."""
    for word in list(words)[:_MOST]:
        place = _found(word, path)
        if place:
            yield (word, *_identity(place))
            for inner in _of_script(place):
                if runs := _found(inner, path):
                    yield (inner, *_identity(runs))


def _found(word: str, path: str) -> str:
    """The place of a program; "" for what is none, or lies in the tree, which is part of the question anyway."""
    if "\0" in word or not word:
        return ""
    if os.path.isabs(word):
        return word if os.access(word, os.X_OK) and not os.path.isdir(word) else ""
    if os.sep in word:
        return ""
    import shutil

    return shutil.which(word, path=path) or ""


def _identity(place: str) -> tuple[object, ...]:
    """What tells a program from another one at the same place.

    A script is its content: version managers write theirs anew in every new shell. Nobody reads a large program for
    this; that one is its size and time.
    """
    real = os.path.realpath(place)
    try:
        if start := _script(real):
            import hashlib

            return (real, hashlib.sha256(start).hexdigest())
        found = os.stat(real)
    except OSError:
        return (real,)
    return (real, found.st_size, found.st_mtime_ns)


def _of_script(place: str) -> list[str]:
    """The interpreter that a script's first line names, by itself or through env."""
    try:
        return os.fsdecode(_script(place)[2:_FIRST_LINE].partition(b"\n")[0]).split()
    except OSError:
        return []


def _script(place: str) -> bytes:
    """A script, or as much of it as anybody reads; nothing of any other program. Raises OSError."""
    with open(files.open_regular(place), "rb") as file:
        start = file.read(2)
        return start + file.read(_LARGEST_SCRIPT) if start == b"#!" else b""
