"""What `orchgate new` has begun: noted in the git folder before the first document, for whoever takes it up."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import files, json_data, temporary
from orchgate.lib.digest import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = 1
MAX_BYTES = 1024 * 1024
_FOLDER, _SUFFIX = "new", ".json"


class Begun(NamedTuple):
    """A packet that may be there in part. `documents` by path, each with the SHA-256 of all that we wrote there."""

    task: str
    title: str
    mini_spec: bool
    documents: Mapping[str, tuple[str, ...]]


NOTHING = Begun("", "", mini_spec=False, documents={})


def read(root: str, slug: str) -> Begun:
    """What was begun under a slug; NOTHING where nothing was, or what is noted is not ours."""
    path = _path(root, slug)
    return (_read(path) if path else None) or NOTHING


def tasks(root: str) -> list[str]:
    """The tasks of every packet that was begun and not finished: their numbers are taken."""
    return [begun.task for path in _paths(root) if (begun := _read(path)) is not None]


def note(root: str, slug: str, begun: Begun) -> None:
    """Raises WriteError."""
    import json

    if path := _path(root, slug):
        document = {"version": VERSION, **begun._asdict()}
        files.make_folders(os.path.dirname(path))
        files.replace(path, json.dumps(document).encode("ascii"))


def forget(root: str, slug: str) -> None:
    if path := _path(root, slug):
        with contextlib.suppress(OSError):
            os.unlink(path)


def is_untouched(begun: Begun, path: str, full: str) -> bool:
    """Whether a document is as we wrote it: nobody has worked on it since."""
    try:
        return sha256_hex(files.read(full, MAX_BYTES)) in begun.documents.get(path, ())
    except OSError:
        return False


def _folder(root: str) -> str:
    git = temporary.git_folder(os.path.join(root, _FOLDER))
    return os.path.join(git, temporary.FOLDER, _FOLDER) if git else ""


def _path(root: str, slug: str) -> str:
    folder = _folder(root)
    return os.path.join(folder, slug + _SUFFIX) if folder else ""


def _paths(root: str) -> Iterator[str]:
    folder = _folder(root)
    with contextlib.suppress(OSError):
        yield from (os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(_SUFFIX))


def _read(path: str) -> Begun | None:
    try:
        return _built(json_data.read(path, MAX_BYTES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _built(value: Mapping[str, Any]) -> Begun | None:
    """Raises KeyError, TypeError, AttributeError, ValueError."""
    if value["version"] != VERSION or not isinstance(value["task"], str) or not isinstance(value["title"], str):
        return None
    documents = {str(path): tuple(map(str, digests)) for path, digests in value["documents"].items()}
    # What no file can be called: a null character, half a character.
    if b"\0" in os.fsencode("".join((value["task"], *documents))):
        return None
    return Begun(value["task"], value["title"], value["mini_spec"] is True, documents)
