"""What a stage reads and what it leaves behind: the key under which its success is cached, and the files it declares.

A key is made of the definition of the stage, its variables, and the files it reads. Its `outputs` are compared as they
were when it succeeded with what they are now: links by their target's name and never followed, for what lies outside is
not an output.
"""

from __future__ import annotations

import os
import stat

from orchgate.errors import OrchgateError, Unreadable
from orchgate.git import worktree
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.files import NotRegularFileError, open_regular, sha256_hex, sha256_of_chunks
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import bare, compile_glob, expand_braces, is_git_name, links, matches, negates, why_outside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.git.repository import Repository
    from orchgate.git.worktree import Files
    from orchgate.runs.stages import Stage


VERSION = 1  # of what goes into a key: raise it when that changes, and everything runs once more
MAX_HASHED_BYTES = 1 << 30  # of files git does not track; beyond it running the stage is cheaper than hashing
MOST_FOLDERS = 100
OF_ONE_RUN = frozenset({"ORCHGATE_ARTIFACTS", "ORCHGATE_RUN_ID", "TRACEPARENT", "TRACESTATE"})
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
        return worktree.listed_files(self._opened, self._tops)

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
                raise NotPinnedError(f"{nested} is a nested repository: git does not show what changed in it")
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
                raise NotPinnedError("is a submodule: git does not show what changed in it")
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


MOST = 10_000  # files
MOST_BYTES = 1 << 30  # beyond it running the stage is cheaper than hashing
MOST_NAMES = 2 * 1024 * 1024  # bytes of all paths
MOST_LOOKED_AT = 200_000  # files below the folders that are named
_CHUNK = 1 << 20
_FILE, _PROGRAM, _LINK = "file", "program", "link"
KINDS = (_FILE, _PROGRAM, _LINK)


class Product(NamedTuple):
    """One file by its repository path. `kind` is file, program (an executable one) or link; `sha256` is in hex.

    Of a link, size and digest are those of its target's name.
    """

    path: str
    kind: str
    size: int
    sha256: str


class NotKeptError(OrchgateError):
    """Why the outputs of a stage cannot be relied on. Continues "succeeded, but …"."""


def find(root: str, outputs: Sequence[str]) -> list[str]:
    """Sorted repository paths of what is there of some outputs. Raises NotKeptError where one of them names nothing."""
    patterns = [_pattern(root, pattern) for pattern in outputs]
    found: set[str] = set()
    for pattern in patterns:
        if not negates(pattern):
            for part in expand_braces(bare(pattern)):
                listed = _alone(root, part) if is_literal(part) else _files_below(root, top_of(part))
                found.update(path for path in listed if matches(path, patterns))
    if len(found) > MOST or sum(map(len, found)) > MOST_NAMES:
        raise NotKeptError(f"its outputs are {len(found)} files, limit {MOST}")
    for declared, pattern in zip(outputs, patterns, strict=True):
        if not negates(pattern):
            fits = compile_glob(bare(pattern)).fullmatch
            if not any(map(fits, found)):
                raise NotKeptError(f"its output {declared} does not exist")
    return sorted(found)


def collect(root: str, outputs: Sequence[str]) -> tuple[Product, ...]:
    """What is there of some outputs. Raises NotKeptError."""
    left_over, found = MOST_BYTES, []
    for path in find(root, outputs):
        try:
            found.append(_read(root, path, left_over))
        except OSError as error:
            raise NotKeptError(f"its output {path} cannot be read: {error.strerror}") from error
        left_over -= found[-1].size
    return tuple(found)


def why_changed(root: str, products: Iterable[Product]) -> str:
    """How the first product that is not what it was differs; "" when all are as they were. No errors."""
    listed = tuple(products)
    reached: dict[str, bool] = {}
    for product in listed:
        folder = os.path.dirname(product.path)
        if folder not in reached:
            reached[folder] = not folder or next(links(root, folder), None) is None
        if not reached[folder]:
            return f"its output {product.path} is reached through a symbolic link"
        if reason := _differs(root, product, content=False):
            return reason
    return next((reason for product in listed if (reason := _differs(root, product, content=True))), "")


def digest(products: Iterable[Product]) -> str:
    """SHA-256 in hex of all that a stage left behind."""
    return sha256_hex(ascii([tuple(product) for product in products]))


def decoded(entries: Any) -> tuple[Product, ...]:
    """Products as a file of the cache has them. Raises ValueError, TypeError for what is none."""
    found = tuple(Product(*entry) for entry in entries)
    for path, kind, size, sha256 in found:
        if why_outside(path) or kind not in KINDS or type(size) is not int or type(sha256) is not str:
            raise ValueError(path)
    return found


def _pattern(root: str, pattern: str) -> str:
    """An output as a glob of repository paths; a folder's name stands for all below it."""
    glob = bare(pattern).removeprefix("./")
    mark = "!" if negates(pattern) else "\\" if negates(glob) else ""
    folder = glob.endswith("/") or (is_literal(glob) and _is_folder(os.path.join(root, glob)))
    return mark + (glob.rstrip("/") + "/**" if folder else glob)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _alone(root: str, path: str) -> list[str]:
    """A path, when there is something. Raises NotKeptError."""
    _require_no_link(root, os.path.dirname(path))
    return [path] if os.path.lexists(os.path.join(root, path)) else []


def _require_no_link(root: str, folder: str) -> None:
    if folder and (link := next(links(root, folder), "")):
        raise NotKeptError(f"its outputs are reached through a symbolic link: {link}")


def _files_below(root: str, top: str) -> Iterator[str]:
    """Repository paths of all files below a folder, but git's own. Raises NotKeptError."""
    _require_no_link(root, top)
    waiting, seen = [top] if _is_folder(os.path.join(root, top)) else [], 0
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as listed:
                entries = [entry for entry in listed if not is_git_name(entry.name)]
        except OSError as error:
            raise NotKeptError(f"its output {folder} cannot be listed: {error.strerror}") from error
        seen += len(entries)
        if seen > MOST_LOOKED_AT:
            raise NotKeptError(f"there are more than {MOST_LOOKED_AT} files below {top or 'the top'} to look through")
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                yield path


def _read(root: str, path: str, left_over: int) -> Product:
    """One product as it is now. Raises NotKeptError, OSError."""
    full = os.path.join(root, path)
    if os.path.islink(full):
        target = os.fsencode(os.readlink(full))
        return Product(path, _LINK, len(target), sha256_hex(target))
    try:
        descriptor = open_regular(full, follow=False)
    except NotRegularFileError:
        raise NotKeptError(f"its output {path} is not a regular file") from None
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if before.st_size > left_over:
            raise NotKeptError(f"its outputs hold more than {MOST_BYTES} bytes")
        summed, size = sha256_of_chunks(iter(lambda: file.read(_CHUNK), b""))
        if _stamp(before) != _stamp(os.fstat(descriptor)) or size != before.st_size:
            raise NotKeptError(f"its output {path} changed while it was read")
    return Product(path, _kind(before), before.st_size, summed)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode


def _kind(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return _LINK
    return _PROGRAM if status.st_mode & 0o111 else _FILE


def _differs(root: str, product: Product, *, content: bool) -> str:
    """How a product differs from what it was, by its size or by its content; "" for not."""
    path = product.path
    try:
        status = os.lstat(os.path.join(root, path))
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            return f"its output {path} has changed: it is no longer a file"
        if (_kind(status), status.st_size) != (product.kind, product.size):
            return f"its output {path} has changed"
        return f"its output {path} has changed" if content and _read(root, path, MOST_BYTES) != product else ""
    except (FileNotFoundError, NotADirectoryError):
        return f"its output {path} is missing"
    except (OSError, ValueError) as error:
        return f"its output {path} cannot be read: {getattr(error, 'strerror', error)}"
    except NotKeptError:
        return f"its output {path} keeps changing"
