"""The key under which the success of a stage is cached: its definition, its variables, and the files it reads."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, Unreadable
from orchgate.git import worktree
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.digest import sha256_hex
from orchgate.lib.globs import bare, compile_glob, expand_braces, matches, negates
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.git.worktree import Files
    from orchgate.runs.stages import Stage

VERSION = 1  # of what goes into a key: raise it when that changes, and everything runs once more
MAX_HASHED_BYTES = 1 << 30  # of files git does not track; beyond it running the stage is cheaper than hashing
MOST_FOLDERS = 100
OF_ONE_RUN = frozenset({"ORCHGATE_ARTIFACTS", "ORCHGATE_RUN_ID"})
_WILDCARD = lazy(r"[*?{\[]")
_VARIABLE = lazy(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


class CacheKey(NamedTuple):
    """`value` is 64 hexadecimal digits, or "" for a stage that has to run, and `reason` says why.

    `files` counts its inputs.
    """

    value: str
    reason: str = ""
    files: int = 0


class _InputsDigest(NamedTuple):
    digest: str
    files: int


class NotPinnedError(OrchgateError):
    """Why it is unknown whether the inputs of a stage have changed."""


def why_never(stage: Stage) -> str:
    """Why a stage is never answered from the cache, whatever the files hold; "" for one that may be."""
    if stage.pipeline:
        return "a sub-pipeline, whose stages are looked up one by one"
    if all(name.startswith("$") or negates(name) for name in stage.inputs):
        return "no inputs"
    return "its command names the run it is part of" if OF_ONE_RUN.intersection(variables(stage)) else ""


def variables(stage: Stage) -> tuple[str, ...]:
    """Environment variables a stage names: `$NAME` among its inputs or in its command."""
    texts = (*stage.argv, stage.shell, *(name for name in stage.inputs if name.startswith("$")))
    return tuple(sorted({name for text in texts for name in _VARIABLE.findall(text)}))


class Keys:
    """The keys of one run's stages. The files are listed once, and again after `forget`."""

    def __init__(
        self,
        repository: Repository | None,
        stages: Iterable[Stage],
        environ: Mapping[str, str],
        own_folders: tuple[str, ...] = (".runs", "out"),
    ) -> None:
        """Takes the stages to know where to look.

        `own_folders` is where runs are recorded: what lies there is not an input unless an input names the folder.
        """
        self._repository = repository
        self._environ = environ
        self._own_folders = own_folders
        self._known: dict[tuple[str, ...], _InputsDigest] = {}
        self._tops = _tops(pattern for stage in stages if not why_never(stage) for pattern in _named(stage.inputs))

    def forget(self) -> None:
        """To be called when a stage has really run: it may have changed files that a later one reads."""
        self.__dict__.pop("_files", None)
        self._known.clear()

    def key(
        self, stage: Stage, pipeline: str = "", inherited: Mapping[str, str] | None = None, needed: Sequence[str] = ()
    ) -> CacheKey:
        """The key of a stage as things are now.

        `inherited` is what a calling pipeline sets; `needed` are keys of the stages it needs, as far as they have one:
        with other inputs they may have left something else behind.
        """
        if reason := why_never(stage):
            return CacheKey("", reason)
        try:
            read = self._read(stage.inputs)
        except OrchgateError as error:
            return CacheKey("", error.message)
        set_by_others = tuple((name, self._environ.get(name)) for name in variables(stage) if name not in stage.env)
        inherits = tuple(sorted((inherited or {}).items()))
        parts = (VERSION, pipeline, stage.definition, inherits, set_by_others, tuple(needed), read.digest)
        return CacheKey(sha256_hex(ascii(parts)), files=read.files)

    @cached_property
    def _opened(self) -> Repository:
        if self._repository is None or not self._repository.root:
            raise NotPinnedError("not in a git work tree, so changes are not known")
        return self._repository

    @cached_property
    def _files(self) -> Files:
        return worktree.files(self._opened, self._tops)

    def _read(self, inputs: tuple[str, ...]) -> _InputsDigest:
        """The content of some inputs, read once for all stages that share them. Raises OrchgateError."""
        if inputs not in self._known:
            lines: list[str] = []
            files = 0
            left = MAX_HASHED_BYTES
            for path in self._chosen(tuple(self._patterns(inputs))):
                header = self._files.clean.get(path, "")
                files += 1
                if header.startswith("100"):  # an ordinary file, as the index says: by far the most
                    lines.append(f"{header} {path}")
                    continue
                contents = list(self._contents(path, header, left))
                files -= not contents
                left -= sum(hashed for _, hashed in contents)
                lines += [f"{content} {path}" for content, _ in contents]
            self._known[inputs] = _InputsDigest(sha256_hex("\0".join(lines)), files)  # no path holds a NUL
        return self._known[inputs]

    def _chosen(self, patterns: tuple[str, ...]) -> list[str]:
        """Sorted paths that the patterns name. Raises NotPinnedError for what git cannot vouch for."""
        files = self._files
        tops = [top_of(bare(pattern)) for pattern in patterns if not negates(pattern)]
        for nested in files.nested:
            if matches(nested + "x", patterns) or any(top.startswith(nested) for top in tops):
                raise NotPinnedError(f"{nested} is a nested repository: git does not tell what changed in it")
        own = tuple(folder + "/" for folder in self._own_folders if not any(_below(top, folder) for top in tops))
        chosen: set[str] = set()
        for pattern in patterns:
            glob = bare(pattern)
            fits = compile_glob(glob).fullmatch
            if negates(pattern):
                chosen -= {path for path in chosen if fits(path)}
                continue
            named = [path for paths in (files.clean, files.dirty) for path in paths if fits(path)]
            if not named and not is_literal(glob):
                raise NotPinnedError(f"input {pattern} matches no file known to git")
            chosen.update(path for path in named if not path.startswith(own))
            if not named:
                chosen.add(glob)  # git ignores it, or it is not there: its name alone makes it count
        if not chosen and any(map(negates, patterns)):
            raise NotPinnedError("its inputs exclude every file that they name")
        return sorted(chosen)

    def _contents(self, path: str, header: str, left: int) -> Iterator[tuple[str, int]]:
        """What a path holds, and for a link what it leads to; with the bytes that had to be hashed for it."""
        full = os.path.join(self._opened.root, path)
        algorithm = worktree.algorithm(self._opened)
        try:
            found = (header, 0) if header else worktree.blob(full, algorithm, limit=left)
            if found is None:
                return
            yield found
            if found[0].startswith(SUBMODULE):
                raise NotPinnedError("is a submodule: git does not tell what changed in it")
            if found[0].startswith(SYMLINK) and (target := worktree.blob(full, algorithm, follow=True, limit=left)):
                yield target
        except (Unreadable, NotPinnedError) as error:
            raise NotPinnedError(f"input {path} {error.message}") from error

    def _patterns(self, inputs: tuple[str, ...]) -> Iterator[str]:
        """Inputs as globs of repository paths; a folder's name stands for all below it."""
        root = self._opened.root
        for pattern in _globs(inputs):
            glob = bare(pattern)
            mark = pattern.removesuffix(glob)
            if glob.startswith("/") or ".." in glob.split("/"):
                raise NotPinnedError(f"input {pattern} points outside the repository")
            folder = is_literal(glob) and os.path.isdir(os.path.join(root, glob))
            yield mark + (glob.rstrip("/") + "/**" if folder or glob.endswith("/") else glob)


def _globs(inputs: Iterable[str]) -> Iterator[str]:
    for name in inputs:
        inner = bare(name).removeprefix("./")
        if negates(name):
            yield "!" + inner
        elif not name.startswith("$"):
            yield "\\" + inner if negates(inner) else inner


def _named(inputs: Iterable[str]) -> Iterator[str]:
    """The globs that name something, without those that take something back."""
    return (bare(pattern) for pattern in _globs(inputs) if not negates(pattern))


def is_literal(pattern: str) -> bool:
    return not pattern.endswith("/") and _WILDCARD.search(pattern) is None


def top_of(pattern: str) -> str:
    """The folder, or the file, above which a glob names nothing; "" when it may name anything."""
    wildcard = _WILDCARD.search(pattern)
    return pattern[: wildcard.start()].rpartition("/")[0] if wildcard else pattern.rstrip("/")


def _tops(patterns: Iterable[str]) -> tuple[str, ...]:
    """Where git has to look; empty for the whole tree."""
    tops = {top_of(part) for pattern in patterns for part in expand_braces(pattern)}
    inside = {top for top in tops if not top.startswith("/") and ".." not in top.split("/")}
    return () if "" in inside or len(inside) > MOST_FOLDERS else tuple(sorted(inside))


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
