"""`out/<task>/state.json`, the snapshot of a task for people. Imports msgspec."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.lib import files, json_data
from orchgate.lib.inside import require_inside
from orchgate.metrics import snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.metrics.update import Updated

OUT, NAME = "out", "state.json"
OTHER, OTHERS = "state.other.json", "state.other-{}.json"  # where files of another program are kept
_MOST = 16 << 20  # bytes of a snapshot


class Published(NamedTuple):
    path: str
    kept: str = ""  # where the file of another program went that stood in its place


def publish(root: str, task: str, updated: Updated) -> Published:
    """Puts the snapshot in its place; written only if it says something new. Raises OrchgateError."""
    from datetime import UTC, datetime

    folder = os.path.join(root, OUT, task)
    path = os.path.join(folder, NAME)
    require_inside(root, folder)
    document = snapshot.state(task, updated, datetime.now(UTC))
    old = _read(path)
    if old is not None and _lasting(old) == _lasting(document):
        return Published(path)
    files.make_folders(folder)
    kept = ""
    if old is None and not _is_empty(path):
        kept = _set_aside(path)
    files.replace(path, _rendered(document), sync=False)
    return Published(path, kept)


def _read(path: str) -> dict[str, Any] | None:
    """Our own snapshot as it was last written; None when there is none."""
    try:
        value = json_data.read(path, _MOST)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("format") == snapshot.FORMAT else None


def _lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "updated_at"}


def _is_empty(path: str) -> bool:
    """Whether nothing is lost with what is there: a power cut may have taken our own, which was not synced."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _set_aside(path: str) -> str:
    """Gives the file of another program a name that is free, and returns it. Raises WriteError."""
    other, number = os.path.join(os.path.dirname(path), OTHER), 1
    while os.path.lexists(other):
        number += 1
        other = os.path.join(os.path.dirname(path), OTHERS.format(number))
    try:
        os.rename(path, other)
    except OSError as error:
        raise files.failure(other, error) from error
    return other


def _rendered(document: Mapping[str, Any]) -> bytes:
    import json

    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
