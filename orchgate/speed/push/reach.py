"""What a pipeline runs, of the tree and outside of it. "Not touched by a change" only where that is shown.

A stage runs what its `inputs` name. One without inputs runs the files and folders of the tree that its command names,
what lies beside such a file (but for the top of the tree), and whatever of the tree those files mention by name or by
folder, and so on. A program that finds its files by itself, such as `make` or `pytest`, may run anything.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shlex
from collections import defaultdict

from orchgate.errors import OrchgateError, Unreadable
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches, negates
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runner.environment import unhooked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.stages import Pipeline, Stage

# Files that say what is run, or what with.
DEFINING = ("orchgate.toml", "pyproject.toml", "codex.orchestrator.json")
MOST_FILES = 500
MOST_BYTES = 256 * 1024  # of one file
_MOST_WORDS = 64  # of a command that are looked up
_FIRST_LINE = 256  # bytes
_LARGEST_SCRIPT = 1 << 16
_OF_GIT = "git-core"  # the folder that git puts first for its hooks; the same request is asked without one, too
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
_WORD = lazy(rb"[\w-]+")


def untouched(stages: Sequence[Stage], tree: Snapshot, paths: Collection[str]) -> bool:
    """Whether none of some changed paths is run by stages of a tree; False where nobody can tell."""
    if any(path in DEFINING for path in paths):
        return False
    inputs = [name for stage in stages for name in stage.inputs if not name.startswith("$")]
    if any(matches(path, inputs) for path in paths):
        return False
    rest = [stage for stage in stages if all(name.startswith("$") or negates(name) for name in stage.inputs)]
    reached = _reached(rest, tree)
    return reached is not None and reached.isdisjoint(paths)


def named(stages: Sequence[Stage], tree: Snapshot) -> set[str]:
    """The paths that stages name in their commands, be it through links; of the top of the tree none is one.

    With a file goes what lies beside it, with a folder all that is in it.
    """
    from orchgate.references.symlinks import followed

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


# Programs outside of the tree


def programs(config: Config, root: str, environ: Mapping[str, str]) -> tuple[object, ...]:
    """PATH, and each program that the pipeline's commands name, as what it is. No errors."""
    path = unhooked(environ).get("PATH", os.defpath)
    found = dict.fromkeys(_programs_of(config.performance.setup, path))
    for stage in _stages(config, root):
        words = stage.argv or ("/bin/sh", *_shell_words(stage.shell))
        found |= dict.fromkeys(_programs_of(words, stage.env.get("PATH", path)))
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


def _shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _programs_of(words: Iterable[str], path: str) -> Iterator[tuple[object, ...]]:
    """Those of a command's words that name programs outside of the tree, and what runs the scripts among them."""
    for word in list(words)[:_MOST_WORDS]:
        place = _program(word, path)
        if place:
            yield (word, *_program_identity(place))
            for inner in _of_script(place):
                if runs := _program(inner, path):
                    yield (inner, *_program_identity(runs))


def _program(word: str, path: str) -> str:
    """The place of a program; "" for what is none, or lies in the tree, which is part of the request anyway."""
    if "\0" in word or not word:
        return ""
    if os.path.isabs(word):
        return word if os.access(word, os.X_OK) and not os.path.isdir(word) else ""
    if os.sep in word:
        return ""
    import shutil

    return shutil.which(word, path=path) or ""


def _program_identity(place: str) -> tuple[object, ...]:
    """What tells a program from another one at the same place.

    A script is its content: version managers write theirs anew in every new shell. Nobody reads a large program for
    this; that one is its size and time.
    """
    real = os.path.realpath(place)
    try:
        if start := _script(real):
            return (real, sha256_hex(start))
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
