"""The files that a stage declares as `outputs`, as they were when it succeeded, and as they are now.

Links are compared by their target's name and never followed: what lies outside is not an output.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib.digest import sha256_hex, sha256_of_chunks
from orchgate.lib.files import NotRegularFileError, open_regular
from orchgate.lib.globs import bare, compile_glob, expand_braces, matches, negates
from orchgate.lib.inside import is_git_name, links, why_outside
from orchgate.runner.inputs import is_literal, top_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
                listed = _alone(root, part) if is_literal(part) else _below(root, top_of(part))
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


def _below(root: str, top: str) -> Iterator[str]:
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
        says = os.fsencode(os.readlink(full))
        return Product(path, _LINK, len(says), sha256_hex(says))
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
