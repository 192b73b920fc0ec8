"""The evidence lock: what the artifacts were that documents cite, so that a clone without them can judge the citation.

One JSON object a line, sorted by path, no times: branches that pin different artifacts merge line by line. The order of
lines means nothing to the reader, because a merge by union mixes it up.
"""

from __future__ import annotations

import codecs
from functools import cache

from orchgate.errors import OrchgateError, Unreadable
from orchgate.evidence.rules import LOCK
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import git_name
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from json import JSONDecoder

    from orchgate.git.snapshot import Snapshot

PATH = LOCK
VERSION = 1
MAX_BYTES = 32 * 1024 * 1024
MAX_LINE = 64 * 1024
HEADER = b'{"evidence-lock": 1}'  # sorts before every pin
_PLAIN = lazy(
    rb'\{"path": "([ !#-\[\]-~]{1,4096})", "sha256": "([0-9a-f]{64})", "size": (0|[1-9][0-9]{0,14})\}'  # of no run
)
_SHA256 = lazy(r"[0-9a-f]{64}")
_OBJECT_ID = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KNOWN_EMPTY = ("changed", "untracked")  # that there was nothing is another thing than that nobody knows
_MARKERS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_WRITTEN = "the lock is written by `orchgate evidence pin`; `git show HEAD:.orchgate/evidence.lock` shows it as it was"

_HOSTILE = "no run writes there: delete the line, and ask whoever added it"


class RunFacts(NamedTuple):
    """What a manifest claims: all of it that rules ask for where the manifest itself is not at hand.

    Texts are "" and ids None where the manifest says nothing. `machine` is a fingerprint of its kind. `numbers` are
    metrics by the names in `measures`: wall_seconds, cpu_seconds, max_rss_bytes, tree_rss_bytes, read_bytes,
    written_bytes, manifest_writes, tests_passed … `format` is that of our manifests, or "". `changed` and `untracked`
    are as in git/state.py, None where they are not known. `cached` counts the stages that were answered from the cache,
    None where that is not known; `lower_bounds` are the numbers that are at least what they say, and why. `accepts` is
    the item of a checklist that the run is to prove (`document`, `item`, `command`), nothing for other runs.
    """

    task: str = ""
    run_id: str = ""
    pipeline: str = ""
    status: str = ""
    commit: str | None = None
    tree: str | None = None
    dirty: bool | None = None
    machine: str = ""
    numbers: Mapping[str, float] = {}
    format: str = ""
    changed: Mapping[str, str | None] | None = None
    untracked: Mapping[str, str | None] | None = None
    cached: int | None = None
    lower_bounds: Mapping[str, str] = {}
    accepts: Mapping[str, str] = {}


class Pinned(NamedTuple):
    """One artifact: repository path, content as lower-case hex digits, bytes; `run` for manifests only."""

    path: str
    sha256: str
    size: int
    run: RunFacts | None = None


class Lock:
    """The pins of one lock by path."""

    def __init__(self, pins: Iterable[Pinned] = ()) -> None:
        self._pins: Mapping[str, Pinned] = {pin.path: pin for pin in pins}

    @property
    def count(self) -> int:
        return len(self._pins)

    @property
    def pins(self) -> Mapping[str, Pinned]:
        """All of them, which a question about a few does not need."""
        return self._pins

    def get(self, path: str) -> Pinned | None:
        return self._pins.get(path)

    def holds(self, folder: str) -> bool:
        """Whether an artifact in a folder or its folders is pinned; not asked of the top level."""
        return folder in self._folders

    def differing(self, other: Lock) -> set[str]:
        """The artifacts that another lock does not pin, or not in the same way."""
        there = other.pins
        return {path for path, pin in self.pins.items() if there.get(path) != pin}

    def starting(self, text: str) -> Iterator[str]:
        """The pinned paths that start with a text."""
        return (path for path in self._pins if path.startswith(text))

    def below(self, folder: str) -> Iterator[Pinned]:
        """The pins in a folder and its folders, in the order of a lock's lines."""
        found = map(self.get, sorted(self.starting(folder + "/"), key=written))
        return (pin for pin in found if pin is not None)

    @cached_property
    def _folders(self) -> frozenset[str]:
        """Every folder that holds a pinned artifact, the top level left out."""
        from orchgate.git.snapshot import folders_of

        return folders_of(self._pins) - {""}


def written(path: str) -> str:
    """A path as it stands in a lock, with its quotes."""
    import json

    return json.dumps(path)


class LockError(OrchgateError):
    """The lock cannot be read; nothing in it counts. `line` counts from 1, 0 for the whole file.

    `path` says where it is, for people.
    """

    def __init__(self, line: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint or _WRITTEN)
        self.line = line
        self.path = f"{PATH}:{line}" if line else PATH


def of(snapshot: Snapshot) -> Lock | None:
    """The lock of a tree, None when it has none. Raises LockError."""
    try:
        data = snapshot.find(PATH, MAX_BYTES)
    except Unreadable as error:
        raise LockError(0, error.message, error.hint) from error
    return None if data is None else parse(data)


def parse(data: bytes) -> Lock:
    """The lock in a file's bytes. Raises LockError with the line that is wrong."""
    pins: dict[str, Pinned] = {}
    for number, pin in pinned(data):
        known = pins.setdefault(pin.path, pin)
        if known is not pin and known != pin:
            first = next(line for line, other in pinned(data) if other.path == pin.path)
            raise LockError(
                number,
                f"pins {_shown(pin.path)} differently from line {first}",
                "keep the line that holds; `orchgate evidence pin` decides by what is on disk",
            )
    return Lock(pins.values())


def both_sides(data: bytes) -> bytes:
    """A lock in the middle of a merge without the marks: the lines of both sides, each where it was."""
    lines, original = [], False
    for line in data.split(b"\n"):
        marked = line.startswith(_MARKERS)
        original = line.startswith(_MARKERS[1]) or (original and not marked)
        lines.append(b"" if marked or original else line)
    return b"\n".join(lines)


def pinned(data: bytes) -> Iterator[tuple[int, Pinned]]:
    """Every pin with its line. Raises LockError."""
    if len(data) > MAX_BYTES:
        raise LockError(0, f"is larger than {MAX_BYTES} bytes", "orchgate evidence pin --prune")
    started = False
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.strip(b" \t\r")
        if not text:
            continue
        if text.startswith(_MARKERS):
            raise LockError(number, "holds the marks of a merge conflict", "`orchgate evidence pin` keeps both sides")
        if started and (pin := _plain_pin(text)):
            yield number, pin
            continue
        fields = _fields(number, text)
        if "evidence-lock" in fields:
            _check_version(number, fields["evidence-lock"])
            started = True
            continue
        if not started:
            raise LockError(number, f"does not begin with {HEADER.decode()}")
        yield number, _pin(number, fields)
    if not started:
        raise LockError(1, "is empty", _WRITTEN)


def _plain_pin(text: bytes) -> Pinned | None:
    """What most lines say, as we write them: no JSON is parsed for it. None for what has to be looked at closely."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    path = match[1].decode("ascii")
    return None if not is_plain(path) or git_name(path) else Pinned(path, match[2].decode("ascii"), int(match[3]))


def _fields(number: int, text: bytes) -> dict[str, object]:
    if text.startswith(codecs.BOM_UTF8):
        raise LockError(number, "is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig)")
    if len(text) > MAX_LINE:
        raise LockError(number, f"is longer than {MAX_LINE} bytes")
    try:
        value = _decoder().decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise LockError(number, f"is not JSON: {str(error).partition(': line ')[0]}") from None
    if not isinstance(value, dict):
        raise LockError(number, "is not a JSON object")
    return value


@cache
def _decoder() -> JSONDecoder:
    import json

    return json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_number)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON that we write ourselves. Raises ValueError where a key appears twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def no_number(name: str) -> float:
    """Raises ValueError: NaN and the infinities are no JSON."""
    raise ValueError(f"{name} is not a number")


def _check_version(number: int, version: object) -> None:
    if type(version) is not int or version != VERSION:
        raise LockError(number, f"is of version {version!r}, this orchgate reads {VERSION}", "install a newer orchgate")


def _pin(number: int, fields: dict[str, object]) -> Pinned:
    unknown = fields.keys() - {"path", "sha256", "size", "run"}
    if unknown:
        raise LockError(number, f"has a key {_shown(min(unknown))} that version {VERSION} does not know")
    path, sha256, size = fields.get("path"), fields.get("sha256"), fields.get("size")
    if not isinstance(path, str) or not is_plain(path):
        raise LockError(number, f"path: expected one inside the repository, got {_shown(path)}")
    if named := git_name(path):
        what = f"path: {_shown(path)} holds {_shown(named)}, a name that git keeps for itself"
        raise LockError(number, what, _HOSTILE)
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        long = f"{len(sha256)} characters: " if isinstance(sha256, str) else ""
        raise LockError(number, f"sha256: expected 64 hexadecimal digits, got {long}{_shown(sha256)}")
    if type(size) is not int or not 0 <= size < 2**53:
        raise LockError(number, f"size: expected bytes, got {_shown(size)}")
    return Pinned(path, sha256, size, _facts(number, fields["run"]) if "run" in fields else None)


def is_plain(path: str) -> bool:
    """Whether a path is relative, stays inside, and is written in the one way that git writes it."""
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character: no file is called so
        return False
    return bool(path) and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def _facts(number: int, fields: object) -> RunFacts:
    if not isinstance(fields, dict):
        raise LockError(number, f"run: expected an object, got {_shown(fields)}")
    unknown = fields.keys() - set(RunFacts._fields)
    if unknown:
        raise LockError(number, f"run: has a key {_shown(min(unknown))} that version {VERSION} does not know")
    for name in ("task", "run_id", "pipeline", "status", "machine", "format"):
        if not isinstance(fields.get(name, ""), str):
            raise LockError(number, f"run.{name}: expected a text, got {_shown(fields[name])}")
    for name in ("commit", "tree"):
        value = fields.get(name)
        if value is not None and not (isinstance(value, str) and _OBJECT_ID.fullmatch(value)):
            raise LockError(number, f"run.{name}: expected an object id, got {_shown(value)}")
    if not isinstance(fields.get("dirty"), bool | None):
        raise LockError(number, f"run.dirty: expected true or false, got {_shown(fields['dirty'])}")
    for name in ("changed", "untracked"):
        value = fields.get(name)
        if value is not None and not (
            isinstance(value, dict) and all(isinstance(v, str | None) for v in value.values())
        ):
            raise LockError(number, f"run.{name}: expected object ids by path, got {_shown(value)}")
    cached, bounds = fields.get("cached"), fields.get("lower_bounds", {})
    if cached is not None and (type(cached) is not int or cached < 0):
        raise LockError(number, f"run.cached: expected a count, got {_shown(cached)}")
    if not isinstance(bounds, dict) or not all(isinstance(why, str) for why in bounds.values()):
        raise LockError(number, f"run.lower_bounds: expected texts by name, got {_shown(bounds)}")
    if not _is_acceptance(fields.get("accepts", {})):
        raise LockError(number, "run.accepts: expected the texts document, item and command")
    numbers = fields.get("numbers", {})
    if not isinstance(numbers, dict) or not all(map(_is_number, numbers.values())):
        raise LockError(number, "run.numbers: expected numbers by name")
    return RunFacts(**fields)


def _is_acceptance(value: object) -> bool:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        return False
    return not value or value.keys() == {"document", "item", "command"}


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -1e300 < value < 1e300  # type: ignore[operator]


def _shown(value: object) -> str:
    return clip(repr(value), 80)


def render(pins: Iterable[Pinned]) -> bytes:
    """The bytes of a lock: the same for the same pins, in whatever order they come."""
    lines = sorted(line_of(pin) for pin in pins)
    return b"".join(line + b"\n" for line in (HEADER, *lines))


def line_of(pin: Pinned) -> bytes:
    import json

    fields: dict[str, object] = {"path": pin.path, "sha256": pin.sha256, "size": pin.size}
    if pin.run is not None:
        facts = pin.run._asdict()
        facts["numbers"] = dict(sorted(pin.run.numbers.items()))
        fields["run"] = {
            name: value
            for name, value in facts.items()
            if value not in ("", None, {}) or (value == {} and name in _KNOWN_EMPTY)
        }
    # Escaped to ASCII, so that line breaks and names that are not UTF-8 survive every editor and every merge.
    return json.dumps(fields).encode("ascii")
