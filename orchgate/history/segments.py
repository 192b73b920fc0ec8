"""Segments: up to 500 runs of one repository, month and class of machines, immutable, under a name that says its hash.

    v1/repo=owner%2Fname/month=2026-03/0123456789abcdef-2026-03-01T10-00-00-000Z-00000000-<SHA-256>.jsonl

A name is written once and never means two things, so a history is a set, and two of them are joined by union. How runs
are written is a `SegmentFormat`: here as JSON Lines, of which the first says what the others are, one run each, in the
order of their ids; in `parquet` as a table. Imports msgspec.
"""

from __future__ import annotations

from datetime import UTC
from itertools import groupby, pairwise
from urllib.parse import quote

from orchgate.config.names import is_repository_name
from orchgate.history.entries import MACHINE, RUN, HistoryEntry, decode_entries, decode_entry, encode, rank
from orchgate.lib.codec import MsgspecError, Struct, json
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.errors import OrchgateError

VERSION = 1
TOP = "v1"
MOST_RUNS = 500
SPLIT_BYTES = 4 << 20  # a segment is full at so many bytes, too
MOST_BYTES = 32 << 20  # of a segment that is read: one of full size whose last run is as long as a line may be
# The levels of a name, as the stores of git take them.
FOLDERS = (lazy(TOP), lazy(r"repo=[A-Za-z0-9_.~%-]{1,600}"), lazy(r"month=2[0-9]{3}-(0[1-9]|1[0-2])"))
FILE = lazy(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}-[0-9a-f]{64}\.jsonl")
SUFFIX = ".jsonl"
_HASH = 64

Line = tuple[HistoryEntry, bytes]  # a run, and how it is written


class Head(Struct, gc=False, kw_only=True, omit_defaults=True):
    """The first line. `replaces` are the SHA-256 of segments whose runs are here as well.

    `more` is told of a part that holds what only a later version knows, and never written.
    """

    history: int
    repository: str
    roots: str | None = None
    machine: str
    month: str
    runs: int
    replaces: list[str] = []
    more: bool = False


class HistorySegment(NamedTuple):
    name: str
    head: Head
    runs: tuple[Line, ...]

    @property
    def sha256(self) -> str:
        return sha256_of(self.name)

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What only runs have in common that may be in one segment."""
        return self.head.repository, self.head.roots or "", self.head.month, self.head.machine


WRONG_BYTES = "has other bytes than its name says"


class SegmentFault(NamedTuple):
    """A segment of which nothing counts, and why."""

    name: str
    why: str


class SegmentLimits(NamedTuple):
    """A segment is full at so many runs, or at so many bytes of them as lines."""

    runs: int
    bytes: int


class SegmentFormat(NamedTuple):
    """How runs are written. `parsed` takes contents that are known to have the SHA-256 that their names say."""

    suffix: str
    pushed: SegmentLimits
    joined: SegmentLimits  # of one that stands for others
    written: Callable[[Head, Sequence[Line]], bytes]
    parsed: Callable[[Iterable[tuple[str, bytes | OrchgateError]]], Iterator[HistorySegment | SegmentFault]]


def slug(repository: str) -> str:
    return quote(repository, safe="")


def sha256_of(name: str) -> str:
    return name.rpartition(".")[0][-_HASH:]


def name_of(head: Head, first: str, sha256: str, suffix: str = SUFFIX) -> str:
    """The name of a segment, by its head and the id of its first run."""
    return f"{TOP}/repo={slug(head.repository)}/month={head.month}/{head.machine}-{first}-{sha256}{suffix}"


def concerned(names: Iterable[str], runs: Iterable[HistoryEntry]) -> list[str]:
    """The segments that may hold one of some runs, by their names, which say the first run that they hold."""
    latest: dict[str, dict[str, str]] = {}
    for entry in runs:
        of_month = latest.setdefault(f"month={entry.month}", {})
        machine = f"{entry.machine_class}-"
        of_month[machine] = max(entry.run_id, of_month.get(machine, ""))
    found = []
    for name in names:
        *_, month, file = name.split("/")
        start = file.rpartition(".")[0][: -_HASH - 1]
        if any(start.startswith(one) and start[len(one) :] <= last for one, last in latest.get(month, {}).items()):
            found.append(name)
    return found


def divided(lines: Iterable[Line], limits: SegmentLimits) -> Iterator[tuple[str, str, list[Line]]]:
    """Month, class of machines and runs of each segment that some runs of one repository make."""

    def kind(line: Line) -> tuple[str, str]:
        return line[0].month, line[0].machine_class

    ordered = sorted(lines, key=lambda line: (*kind(line), line[0].run_id))
    for (month, machine), group in groupby(ordered, key=kind):
        part: list[Line] = []
        size = 0
        for line in group:
            if part and (len(part) == limits.runs or size + len(line[1]) > limits.bytes):
                yield month, machine, part
                part, size = [], 0
            part.append(line)
            size += len(line[1])
        yield month, machine, part


def line_of(entry: HistoryEntry) -> Line:
    return entry, encode(entry)


encode_head = json.Encoder(order="sorted").encode
_decode_head = json.Decoder(Head).decode


def written(head: Head, lines: Sequence[Line]) -> bytes:
    """As JSON Lines."""
    return b"".join(line + b"\n" for line in (encode_head(head), *(line for _, line in lines)))


def head_of(content: bytes) -> Head | str:
    """What a segment says it is, or why that cannot be told."""
    first, end, _ = content.partition(b"\n")
    try:
        head = _decode_head(first) if end else None
    except (MsgspecError, RecursionError, ValueError):
        head = None
    if head is None:
        version = _version(first)
        return f"is of another version ({version})" if version not in (None, VERSION) else "does not begin as one"
    return f"is of another version ({head.history})" if head.history != VERSION else head


def _version(first: bytes) -> object:
    try:
        value = json.decode(first)
    except (MsgspecError, RecursionError, ValueError):
        return None
    return value.get("history") if isinstance(value, dict) and isinstance(value.get("history"), int) else None


def parsed(contents: Iterable[tuple[str, bytes | OrchgateError]]) -> Iterator[HistorySegment | SegmentFault]:
    """Segments of JSON Lines."""
    for name, content in contents:
        yield parse(name, content) if isinstance(content, bytes) else SegmentFault(name, content.message)


def parse(name: str, content: bytes, most_runs: int = MOST_RUNS) -> HistorySegment | SegmentFault:
    """A segment by its name and its lines."""
    head = head_of(content)
    if isinstance(head, str):
        return SegmentFault(name, head)
    if not content.endswith(b"\n"):
        return SegmentFault(name, "ends in the middle of a line")
    if head.runs > most_runs:
        return SegmentFault(name, f"says that it holds {head.runs:,} runs; at most {most_runs:,} are read")
    _, _, body = content.partition(b"\n")
    lines = body.split(b"\n")[:-1]
    if len(lines) != head.runs or not lines:
        return SegmentFault(name, f"says that it holds {head.runs:,} runs, and has {len(lines):,} lines of runs")
    entries = _entries(body, lines)
    if isinstance(entries, str):
        return SegmentFault(name, entries)
    why = _contradiction(name, head, entries)
    return SegmentFault(name, why) if why else HistorySegment(name, head, tuple(zip(entries, lines, strict=True)))


def _entries(body: bytes, lines: Sequence[bytes]) -> Sequence[HistoryEntry] | str:
    try:
        entries = decode_entries(body)
    except (MsgspecError, RecursionError, ValueError):
        return _first_fault(lines)
    return entries if len(entries) == len(lines) else _first_fault(lines)


def _first_fault(lines: Sequence[bytes]) -> str:
    for number, line in enumerate(lines, 2):
        try:
            decode_entry(line)
        except (MsgspecError, RecursionError, ValueError):
            return f"holds what is no run, in line {number}"
    return "holds what is no run"


def _contradiction(name: str, head: Head, entries: Sequence[HistoryEntry]) -> str:
    """What of a segment is not as its name or its head says, "" for nothing."""
    if not is_repository_name(head.repository) or MACHINE.fullmatch(head.machine) is None:
        return "names no repository, or no class of machines"
    if any(RUN.fullmatch(entry.run_id) is None for entry in entries):
        return "holds a run whose id cannot be one"
    if any(one.run_id >= other.run_id for one, other in pairwise(entries)):
        return "does not hold its runs once each, in the order of their ids"
    if any(entry.started_at.tzinfo is not UTC for entry in entries):
        return "holds a run whose month depends on where one is"
    if any(entry.month != head.month or entry.machine_class != head.machine for entry in entries):
        return "holds runs of another month or class of machines than it says"
    if name != name_of(head, entries[0].run_id, sha256_of(name), name[name.rfind(".") :]):
        return "is not called as its content says"
    return ""


JSONL = SegmentFormat(
    SUFFIX, SegmentLimits(MOST_RUNS, SPLIT_BYTES), SegmentLimits(MOST_RUNS, SPLIT_BYTES), written, parsed
)


def made(
    repository: str,
    roots: str | None,
    lines: Iterable[Line],
    replaces: Iterable[str] = (),
    form: SegmentFormat = JSONL,
) -> dict[str, bytes]:
    """Segments of some runs of a repository, each run once, by name."""
    found = {}
    replaced = sorted(set(replaces))
    for month, machine, part in divided(lines, form.joined if replaced else form.pushed):
        head = Head(
            history=VERSION,
            repository=repository,
            roots=roots,
            machine=machine,
            month=month,
            runs=len(part),
            replaces=replaced,
        )
        content = form.written(head, part)
        found[name_of(head, part[0][0].run_id, sha256_hex(content), form.suffix)] = content
    return found


def best(lines: Iterable[Line]) -> dict[str, Line]:
    """Of each run the entry that counts, by id."""
    found: dict[str, Line] = {}
    for line in lines:
        known = found.get(line[0].run_id)
        if known is None or rank(*line) > rank(*known):
            found[line[0].run_id] = line
    return found


def covered(segments: Sequence[HistorySegment]) -> frozenset[str]:
    """The names of those of which all is said by others that stand for them, so that they can go."""
    standing: dict[str, list[HistorySegment]] = {}
    for one in segments:
        for sha256 in one.head.replaces:
            standing.setdefault(sha256, []).append(one)
    return frozenset(one.name for one in segments if one.sha256 in standing and _is_said(one, standing[one.sha256]))


def _is_said(segment: HistorySegment, by: Iterable[HistorySegment]) -> bool:
    known = best(line for one in by if one.group == segment.group for line in one.runs)
    return all(
        entry.run_id in known and rank(*known[entry.run_id]) >= rank(entry, line) for entry, line in segment.runs
    )


class Compaction(NamedTuple):
    """Segments that stand for others, by name, and the names of those that can go once they are there."""

    made: Mapping[str, bytes]
    gone: frozenset[str]


def compacted(segments: Sequence[HistorySegment], form: SegmentFormat = JSONL) -> Compaction:
    """What makes the segments of a history few. Two of them that are not full become one, and what is covered goes.

    One that holds more than this version knows is left to a later one, which can write it.
    """
    new: dict[str, bytes] = {}
    gone = set(covered(segments))
    left = sorted((one for one in segments if one.name not in gone), key=lambda one: (one.group, one.name))
    for _, group in groupby(left, key=lambda one: one.group):
        small = [one for one in group if not one.head.more and not _is_full(one, form.joined)]
        if len(small) > 1:
            new |= _joined(small, form)
            gone |= {one.name for one in small}
    return Compaction(new, frozenset(gone - new.keys()))


def _joined(small: Sequence[HistorySegment], form: SegmentFormat) -> dict[str, bytes]:
    """Segments of one group as fewer. Each says which ones it has runs of, and what those stood for."""
    sources: dict[str, list[HistorySegment]] = {}
    for one in small:
        for entry, _ in one.runs:
            sources.setdefault(entry.run_id, []).append(one)
    head, runs = small[0].head, best(line for one in small for line in one.runs)
    found: dict[str, bytes] = {}
    for _, _, part in divided(runs.values(), form.joined):
        of = {one.name: one for entry, _ in part for one in sources[entry.run_id]}.values()
        replaced = {sha256 for one in of for sha256 in (one.sha256, *one.head.replaces)}
        found |= made(head.repository, head.roots, part, replaced, form)
    return found


def _is_full(segment: HistorySegment, limits: SegmentLimits) -> bool:
    return len(segment.runs) >= limits.runs or sum(len(line) for _, line in segment.runs) > limits.bytes // 2
