"""What was already judged on this machine: `<git common dir>/orchgate/verdicts.jsonl`, a line a judgement.

The record saves time and nothing else: what is lost or torn is measured again, so nothing here waits for a lock.
Whoever wants to be measured again deletes the file.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate import files
from orchgate.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = "orchgate"
NAME = "verdicts.jsonl"
VERSION = 1
MAX_BYTES = 256 * 1024  # beyond it the older half goes
_TEXTS = ("base", "head", "asked", "machine", "at")


class Key(NamedTuple):
    """What a judgement is about: two trees, a digest of everything that was asked of them, and the kind of machine."""

    base: str
    head: str
    asked: str
    machine: str


class Said(NamedTuple):
    """One finding as it was said."""

    rule: str
    message: str
    hint: str
    severity: Severity


class Recorded(NamedTuple):
    """One judgement, made `at` an ISO 8601 time. `conclusive`: asking again would bring nothing new.

    `pair_seconds` is what one pair of runs took.
    """

    key: Key
    at: str
    conclusive: bool
    pairs: int
    pair_seconds: float
    said: tuple[Said, ...] = ()


class Record(NamedTuple):
    """The judgements of a file, oldest first; `ignored` counts lines that are none."""

    judged: tuple[Recorded, ...]
    ignored: int = 0

    def find(self, key: Key) -> Recorded | None:
        """The newest conclusive judgement of a key."""
        return next((one for one in reversed(self.judged) if one.conclusive and one.key == key), None)

    def pair_seconds(self, asked: str, machine: str) -> float | None:
        """How long a pair took when the same was last asked on such a machine; None when it never was."""
        same = (one.pair_seconds for one in reversed(self.judged) if one.key[2:] == (asked, machine))
        return next((seconds for seconds in same if seconds > 0), None)


def path_in(common_dir: str) -> str:
    return os.path.join(common_dir, FOLDER, NAME)


def read(path: str) -> Record:
    """The record; nothing is in one that is not there or cannot be read, and `ignored` says that it is not whole."""
    from orchgate.errors import OrchgateError
    from orchgate.runs.locate import read_file

    if not os.path.lexists(path):
        return Record(())
    try:
        lines = files.split(read_file(path, 4 * MAX_BYTES))
    except OrchgateError:
        return Record((), 1)
    judged = [_decoded(line) for _, line in lines.whole]
    known = tuple(one for one in judged if one is not None)
    return Record(known, len(judged) - len(known) + len(lines.torn))


def _decoded(line: bytes) -> Recorded | None:
    """A line as a judgement; None for one that we did not write."""
    import json

    try:
        return _built(json.loads(line))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _built(value: Mapping[str, Any]) -> Recorded:
    """Raises ValueError, TypeError, KeyError."""
    if value["version"] != VERSION or not all(isinstance(value[name], str) for name in _TEXTS):
        raise ValueError
    said = tuple(
        Said(str(one["rule"]), str(one["message"]), str(one["hint"]), Severity(one["severity"]))
        for one in value["said"]
    )
    if not 0 <= value["pair_seconds"] < 1e9 or not isinstance(value["pairs"], int):
        raise ValueError
    key = Key(value["base"], value["head"], value["asked"], value["machine"])
    return Recorded(key, value["at"], value["conclusive"] is True, value["pairs"], float(value["pair_seconds"]), said)


def add(path: str, recorded: Recorded) -> None:
    """Appends one judgement, after making room for it. Raises WriteError."""
    files.make_folders(os.path.dirname(path))
    _shorten(path)
    descriptor = files.open_appending(path)
    try:
        files.append(descriptor, _encoded(recorded), path, sync=False, torn=files.ends_torn(descriptor))
    except OSError as error:
        raise files.failure(path, error) from error
    finally:
        os.close(descriptor)


def _encoded(recorded: Recorded) -> bytes:
    import json

    rest = recorded._asdict()
    said = [{**one._asdict(), "severity": one.severity.value} for one in rest.pop("said")]
    line = {"version": VERSION, **rest.pop("key")._asdict(), **rest, "said": said}
    return json.dumps(line, separators=(",", ":")).encode("ascii")


def _shorten(path: str) -> None:
    """Keeps the newer half of a record that has grown too long. What another push adds meanwhile may be lost."""
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size <= MAX_BYTES:
            return
        with open(path, "rb") as file:
            file.seek(-MAX_BYTES // 2, os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
        files.replace(path, kept)


def digest(parts: Iterable[object]) -> str:
    """SHA-256, in hex, of values whose `ascii` says all there is to say about them."""
    import hashlib

    return hashlib.sha256("\0".join(map(ascii, parts)).encode("ascii")).hexdigest()
