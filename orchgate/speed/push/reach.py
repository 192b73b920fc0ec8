"""Whether a change touches what a pipeline runs; "no" only where that is shown.

A stage runs what its `inputs` name. One without inputs runs the files and folders of the tree that its command names,
what lies beside such a file (but for the top of the tree), and whatever of the tree those files mention by name or by
folder, and so on. A program that finds its files by itself, such as `make` or `pytest`, may run anything.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.lib.globs import matches, negates
from orchgate.lib.patterns import lazy
from orchgate.references.symlinks import followed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.stages import Stage

# Files that say what is run, or what with.
DEFINING = ("orchgate.toml", "pyproject.toml", "codex.orchestrator.json")
MOST_FILES = 500
MOST_BYTES = 256 * 1024  # of one file
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
# What runs nothing of the tree but what its command line names.
_PLAIN = _SHELLS | {
    "true",
    "false",
    "test",
    "[",
    "echo",
    "printf",
    "sleep",
    "exit",
    "cd",
    "set",
    "export",
    ".",
    "source",
}
_INTERPRETER = lazy(r"(python|node|ruby|perl|php|lua|pypy)[0-9.]*")
_WORD = re.compile(rb"[\w-]+")


def untouched(stages: Sequence[Stage], tree: Snapshot, paths: Collection[str]) -> bool:
    """Whether none of some changed paths is run by stages of a tree; False where nobody can tell."""
    if any(path in DEFINING for path in paths):
        return False
    told = [name for stage in stages for name in stage.inputs if not name.startswith("$")]
    if any(matches(path, told) for path in paths):
        return False
    rest = [stage for stage in stages if all(name.startswith("$") or negates(name) for name in stage.inputs)]
    reached = _reached(rest, tree)
    return reached is not None and reached.isdisjoint(paths)


def named(stages: Sequence[Stage], tree: Snapshot) -> set[str]:
    """The paths that stages name in their commands, be it through links; of the top of the tree none is one.

    With a file goes what lies beside it, with a folder all that is in it.
    """
    found: set[str] = set()
    for stage in stages:
        for folder, words in _commands(stage):
            for path in {_path(name, folder) for word in words for name in _names(word)} - {"."}:
                with contextlib.suppress(Unreadable):
                    found.update(_at(path, tree), _at(followed(tree, path), tree))
    return found


def _reached(stages: Sequence[Stage], tree: Snapshot) -> set[str] | None:
    """Every path that stages may run or read; None where nobody can tell."""
    commands = [command for stage in stages for command in _commands(stage)]
    if not all(_is_plain(words, folder, tree) for folder, words in commands):
        return None
    named = _Names(tree.entries)
    found: set[str] = set()
    waiting: list[str] = []

    def add(paths: Iterable[str]) -> None:
        new = set(paths) - found
        found.update(new)
        waiting.extend(new)

    for folder, words in commands:
        add(path for word in words for path in _meant(word, folder, tree))
        add(named.by(" ".join(words).encode("utf-8", "surrogateescape")))
    read = 0
    while waiting:
        read += 1
        content = _content(waiting.pop(), tree)
        if content is None or read > MOST_FILES:
            return None
        add(named.by(content))
    return found


def _content(path: str, tree: Snapshot) -> bytes | None:
    """What a file holds; None for a link, a submodule, and what is too large."""
    if not tree.entries[path].mode.startswith("100"):
        return None
    try:
        return tree.find(path, MOST_BYTES)
    except Unreadable:
        return None


class _Names:
    """Paths of a tree by the names under which a program may know them: the file's, or that of a folder around it."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._by: defaultdict[bytes, list[str]] = defaultdict(list)
        for path in paths:
            *folders, name = path.split("/")
            for word in {*folders, name.partition(".")[0] or name}:
                for part in _WORD.findall(word.encode("utf-8", "surrogateescape")):
                    self._by[part].append(path)

    def by(self, text: bytes) -> Iterator[str]:
        for word in set(_WORD.findall(text)):
            yield from self._by.get(word, ())


def _commands(stage: Stage) -> Iterator[tuple[str, list[str]]]:
    """The simple commands of a stage, each with the folder it starts in."""
    shell = stage.shell
    if stage.argv:
        yield stage.cwd, list(stage.argv)
        program, options = posixpath.basename(stage.argv[0]), stage.argv[1:]
        shell = options[1] if program in _SHELLS and options[:1] == ("-c",) and len(options) > 1 else ""
    if shell:
        from orchgate.plan_commands.shell import script

        for command in script(shell, stage.cwd)[0]:
            known = command.folder is not None and command.words and command.words[0].literal
            # A program whose name is made up as it runs may be any.
            yield command.folder or "", [word.text for word in command.words] if known else ["?"]


def _is_plain(words: Sequence[str], folder: str, tree: Snapshot) -> bool:
    """Whether a command runs nothing of the tree but what its words name."""
    program = words[0]
    name = posixpath.basename(program)
    if _INTERPRETER.fullmatch(name):
        module = words[words.index("-m") + 1 :][:1] if "-m" in words else ()
        return "--test" not in words and all(any(_meant(one, folder, tree)) for one in module)
    return name in _PLAIN or _path(program, folder) in tree.entries


def _path(word: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, word))


def _meant(word: str, folder: str, tree: Snapshot) -> Iterator[str]:
    """What a word of a command names: a file and what lies beside it, a folder, or a module."""
    for name in _names(word):
        path = _path(name, folder)
        yield from tree.entries if path == "." else _at(path, tree)


def _names(word: str) -> set[str]:
    """A word as a path, as the value of an option, and as a module."""
    module = word.replace(".", "/")
    return {word, word.rpartition("=")[2], f"{module}.py", f"{module}/__main__.py"}


def _at(path: str, tree: Snapshot) -> Iterator[str]:
    """A file with what lies beside it, but for the top of the tree, or all that is in a folder."""
    if path in tree.entries:
        beside = posixpath.dirname(path)
        yield path
        yield from (other for other in tree.entries if beside and other.startswith(beside + "/"))
    elif path in tree.folders:
        yield from (other for other in tree.entries if other.startswith(path + "/"))
