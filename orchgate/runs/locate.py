"""Where manifests are: `<root>/<task>/cli/<run-id>/manifest.json` and nowhere else.

Summaries (`<root>/<task>/<run-id>/`) and redirects (`<root>/<task>/mcp/<run-id>/`) share the name but are no manifests.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache

from orchgate.errors import Unreadable, Vanished
from orchgate.git.snapshot import LFS_BEGINNING
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.references.artifacts import Artifacts
    from orchgate.runs.decode import ManifestError

NAME = "manifest.json"
JOURNAL = "events.jsonl"
BEGINNING = b'{"event":'  # of a journal of ours
MAX_JOURNAL_BYTES = 64 * 1024 * 1024  # larger journals are read by nobody
OURS = "orchgate"  # the format of manifests that are derived from a journal
LOGS = "stages"  # the folder of a run of ours that holds what its stages printed
RUN_ID = lazy(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{3}Z-[0-9a-f]{8}")


class ManifestPlace(NamedTuple):
    """What a manifest's path says about it."""

    root: str
    task: str
    run_id: str


@lru_cache(maxsize=8)
def _pattern(roots: tuple[str, ...], name: str) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(map(re.escape, roots)) or '(?!)'})/({name})/cli/({name})/manifest\\.json")


def place_of(path: str, roots: tuple[str, ...]) -> ManifestPlace | None:
    """What the path of a manifest says; None for every other path."""
    if not path.endswith("/" + NAME):
        return None
    match = _pattern(roots, "[^/]+").fullmatch(path)
    return ManifestPlace(*match.groups()) if match else None


def is_derived(document: Mapping[str, object]) -> bool:
    """Whether a manifest claims to be one of ours, made from a journal."""
    return document.get("format") == OURS


def journal_of(path: str) -> str:
    """The path of the journal that belongs to the manifest at a path."""
    return path.removesuffix(NAME) + JOURNAL


def manifest_of(path: str, roots: tuple[str, ...]) -> str:
    """The manifest of the run in whose folder a path is; "" for a path in none."""
    match = _folder(roots).match(path)
    return f"{match[0]}{NAME}" if match else ""


@lru_cache(maxsize=8)
def _folder(roots: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(map(re.escape, roots)) or '(?!)'})/[^/]+/cli/[^/]+/")


def mentioned(text: str, roots: tuple[str, ...]) -> Iterator[str]:
    """Paths of manifests that a text names, once each."""
    seen: set[str] = set()
    if "/cli/" not in text:
        return
    for match in _pattern(roots, r"[^\s/\\`'\"<>|()\[\]{}*]{1,255}").finditer(text):
        if match[0] not in seen:
            seen.add(match[0])
            yield match[0]


def on_disk(artifacts: Artifacts, failed: Callable[[Unreadable], None]) -> Iterator[str]:
    """Paths of all manifests under the roots, sorted. Folders that cannot be listed go to `failed`.

    Links are followed as long as they stay inside the repository.
    """
    for root in sorted(artifacts.roots):
        for task in _folders(artifacts, root, failed):
            for run in _folders(artifacts, f"{task}/cli", failed):
                if _is_ours(f"{artifacts.full(run)}/{NAME}", artifacts):
                    yield f"{run}/{NAME}"


def _is_ours(path: str, artifacts: Artifacts) -> bool:
    """Whether there is something in a manifest's place that is not a link out of the repository."""
    try:
        if not stat.S_ISLNK(os.lstat(path).st_mode):
            return True
    except OSError:
        return False
    return not os.path.exists(path) or artifacts.inside(os.path.realpath(path))


def _folders(artifacts: Artifacts, folder: str, failed: Callable[[Unreadable], None]) -> list[str]:
    try:
        with os.scandir(artifacts.full(folder)) as entries:
            if os.path.islink(artifacts.full(folder)) and not artifacts.exists(folder):
                return []
            names = sorted(entry.name for entry in entries if _is_folder(entry, artifacts))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        failed(Unreadable(folder, f"cannot be listed: {error.strerror}"))
        return []
    return [f"{folder}/{name}" for name in names]


def _is_folder(entry: os.DirEntry[str], artifacts: Artifacts) -> bool:
    if entry.is_symlink():
        return os.path.isdir(entry.path) and artifacts.inside(os.path.realpath(entry.path))
    return entry.is_dir()


def read_file(path: str, limit: int) -> bytes:
    """The bytes of a regular file, never waiting for a writer of a FIFO.

    Raises ManifestError for what is no file or larger than `limit` bytes, Unreadable when the system refuses.
    """
    try:
        descriptor = files.open_regular(path)
    except files.NotRegularFileError as error:
        from orchgate.runs.decode import Flaw, ManifestError

        raise ManifestError(Flaw.PLACE, f"is {error.kind}, not a regular file") from None
    except OSError as error:
        raise _refused(path, error) from None
    try:
        status = os.fstat(descriptor)
        if status.st_size > limit:
            from orchgate.runs.decode import Flaw, ManifestError

            raise ManifestError(Flaw.SIZE, f"is {status.st_size} bytes long, limit {limit}")
        data = _read(descriptor, status.st_size, limit)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        os.close(descriptor)
    if data.startswith(LFS_BEGINNING):
        from orchgate.git import snapshot

        if snapshot.pointer(data) is not None:
            raise snapshot.elsewhere(path)
    return data


def _read(descriptor: int, size: int, limit: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts, total = [data], len(data)
    while total <= limit and (more := os.read(descriptor, 1 << 16)):
        parts.append(more)
        total += len(more)
    if total > limit:
        from orchgate.runs.decode import Flaw, ManifestError

        raise ManifestError(Flaw.SIZE, f"grew beyond {limit} bytes while it was read")
    return b"".join(parts)


def _refused(path: str, error: OSError) -> ManifestError | Unreadable:
    if os.path.islink(path) and not os.path.exists(path):
        from orchgate.runs.decode import Flaw, ManifestError

        return ManifestError(Flaw.PLACE, "is a link that leads nowhere")
    if isinstance(error, FileNotFoundError):
        return Vanished(path)
    return Unreadable(path, f"cannot be read: {error.strerror}", "ls -l shows who may read it")
