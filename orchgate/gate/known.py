"""`.orchgate/known.json`: the findings that were there when a repository adopted the gate.

They are not charged where there is no base to compare with: the default branch's own CI judges the whole tree, and
nothing came before it. A change is compared with its base and asks nothing of this file. One finding a line, sorted, no
line numbers and no times, so that it changes only where findings do. What a finding is about stands there in its own
words, or as their SHA-256 where they are long or look like a secret.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import Counter

from orchgate.errors import OrchgateError, Unreadable
from orchgate.evidence.lock import no_number, unique
from orchgate.gate.suppressions import KNOWN, WEIGHT, WRITTEN, EarlierFaults, Excused, Fault, faults_of
from orchgate.git.snapshot import SYMLINK
from orchgate.lib.files import sha256_hex
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Diagnostic

VERSION = 1
MAX_BYTES = 32 * 1024 * 1024
MAX_COUNT = 1_000_000
LONGEST = 200  # characters of what a finding is about that stand there as they are
HASHED = "sha256:"
ACCEPT = "orchgate check --accept-known"
_AGAIN = f"`git show HEAD:{KNOWN}` shows it as it was; where it is deleted, `{ACCEPT} --reason WHY` writes it anew"
_LINES = ",\n"
_MARKERS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_BY_WEIGHT = {WEIGHT[severity]: severity.value for severity in Severity}
_WEIGHTS = {word: weight for weight, word in _BY_WEIGHT.items()}


class Entry(NamedTuple):
    """What one line stands for: a fault, in a document."""

    path: str
    rule: str
    about: str
    severity: str


class Known(NamedTuple):
    """How often each is known, and why it was accepted."""

    counts: Mapping[Entry, int]
    reasons: Mapping[Entry, str]

    def earlier(self, tree: Collection[str], rules: Collection[str] | None = None) -> EarlierFaults:
        """Those of some rules, or all; they excuse what is there now, those of a document that is gone anywhere."""
        faults = (
            Fault(one.rule, (one.path,), one.about, _WEIGHTS[one.severity])
            for one, count in self.counts.items()
            if rules is None or one.rule in rules
            for _ in range(count)
        )
        return EarlierFaults(faults, movable=lambda fault: fault.rule in WRITTEN or fault.paths[0] not in tree)


NOTHING = Known({}, {})


class Growth(NamedTuple):
    """How many more are known, and the lines that are among them."""

    number: int
    entries: frozenset[Entry]


class KnownError(OrchgateError):
    """The file cannot be read; nothing in it counts."""

    path = KNOWN

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint or _AGAIN)


class LinkedError(KnownError):
    def __init__(self) -> None:
        super().__init__("is a symbolic link, not a regular file", "put the file itself in its place")


def of(snapshot: Snapshot) -> Known:
    """The known findings of a tree, none when it has no such file. Raises KnownError."""
    entry = snapshot.entries.get(KNOWN)
    if entry is not None and entry.mode == SYMLINK:
        raise LinkedError
    try:
        data = snapshot.find(KNOWN, MAX_BYTES)
    except Unreadable as error:
        raise KnownError(error.message, error.hint) from error
    return NOTHING if data is None else parse(data)


def parse(data: bytes) -> Known:
    """The known findings in a file's bytes. Raises KnownError."""
    if len(data) > MAX_BYTES:
        raise KnownError(f"is larger than {MAX_BYTES} bytes")
    data = data.removeprefix(BOM_UTF8)  # editors of some systems write one
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.startswith(_MARKERS):
            hint = f"keep the lines of both sides, then run `{ACCEPT}`"
            raise KnownError(f"line {number} is the mark of a merge conflict", hint)
    from orchgate.lib import json_data

    try:
        document = json_data.parse(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_number)
    except UnicodeDecodeError:
        raise KnownError("is not UTF-8 text", "save it as UTF-8") from None
    except ValueError as error:
        raise KnownError(f"is not JSON: {clip(str(error), 120)}") from None
    if not isinstance(document, dict) or document.keys() - {"version", "accepted"}:
        raise KnownError('is not an object with "version" and "accepted" alone')
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise KnownError(f"is of version {document.get('version')!r}, this orchgate reads {VERSION}")
    return _read(document.get("accepted"))


def _read(groups: object) -> Known:
    if not isinstance(groups, list):
        raise KnownError('"accepted" is not a list')
    counts: dict[Entry, int] = {}
    reasons: dict[Entry, str] = {}
    for group in groups:
        if not isinstance(group, dict) or group.keys() != {"reason", "findings"}:
            raise KnownError('"accepted" holds what is not an object with "reason" and "findings" alone')
        reason, findings = group["reason"], group["findings"]
        if not isinstance(reason, str) or not reason.strip():
            raise KnownError("accepts findings without a reason", 'write why they were accepted into "reason"')
        if not isinstance(findings, list):
            raise KnownError('"findings" is not a list')
        for one in findings:
            entry, count = _entry(one)
            if entry in counts:
                what = f"{entry.rule} {clip(entry.path, 80)}: {clip(entry.about, 80)}"
                raise KnownError(f"lists a finding twice: {what}", "keep one of the lines, with the larger count")
            counts[entry], reasons[entry] = count, reason.strip()
    return Known(counts, reasons)


def _entry(one: object) -> tuple[Entry, int]:
    if not isinstance(one, dict) or not {"path", "rule", "about", "severity"} <= one.keys():
        raise KnownError(f"holds what is no finding: {clip(json.dumps(one), 80)}")
    if one.keys() - {"path", "rule", "about", "severity", "count"}:
        raise KnownError(f"a finding has a key that is not known: {clip(json.dumps(one), 80)}")
    entry, count = Entry(one["path"], one["rule"], one["about"], one["severity"]), one.get("count", 1)
    if not all(isinstance(text, str) for text in entry) or entry.severity not in _WEIGHTS:
        raise KnownError(f"a finding holds a wrong value: {clip(json.dumps(one), 80)}")
    if type(count) is not int or not 0 < count <= MAX_COUNT:
        raise KnownError(f"a count is not from 1 to {MAX_COUNT}: {clip(json.dumps(one), 80)}")
    return entry, count


def written(known: Known) -> bytes:
    """The bytes of a file, one finding a line, sorted."""
    groups: dict[str, list[str]] = {}
    for entry, count in sorted(known.counts.items()):
        groups.setdefault(known.reasons[entry], []).append(_line(entry, count))
    accepted = ",\n".join(
        f'    {{"reason": {_text(reason)}, "findings": [\n{_LINES.join(lines)}\n    ]}}'
        for reason, lines in sorted(groups.items())
    )
    return f'{{\n  "version": {VERSION},\n  "accepted": [\n{accepted}\n  ]\n}}\n'.encode()


def _line(entry: Entry, count: int) -> str:
    fields: dict[str, object] = {**entry._asdict(), **({"count": count} if count > 1 else {})}
    return f"      {{{', '.join(f'{_text(name)}: {_text(value)}' for name, value in fields.items())}}}"


def _text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # Bytes of a name that are not UTF-8 are lone surrogates, which only an escape can carry.
    return text if text.isascii() or _is_unicode(text) else json.dumps(value)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def entry_of(fault: Fault) -> Entry:
    """The line of a fault: of one of a packet, its first document stands for it."""
    return Entry(fault.paths[0], fault.rule, _shown(fault.about), _BY_WEIGHT[fault.weight])


def _shown(about: str) -> str:
    from orchgate.secrets.redact import redacted

    words = " ".join(about.split())
    fits = len(words) <= LONGEST and not words.startswith(HASHED) and _is_unicode(words)
    return words if fits and redacted(words) == words else hashed(about)


def hashed(about: str) -> str:
    return HASHED + sha256_hex(about.encode("utf-8", "surrogateescape"))


def excused(earlier: EarlierFaults, now: Iterable[tuple[int, Diagnostic]]) -> Excused:
    """Numbers of the findings that are known: in their words, or by their hash."""
    if not earlier.left:
        return Excused(set(), set())  # as where nothing was ever accepted
    order = [(at, tuple(faults_of(one))) for at, one in earlier.order(now)]
    return earlier.excused(order, lambda about: (" ".join(about.split()), hashed(about)))


def updated(old: Known, now: Sequence[Diagnostic], tree: Collection[str], reason: str) -> Known:
    """Without what is not there any more; with what is new only where there is a reason for it.

    What is in another document of the tree than it was is known there.
    """
    here, moved = excused(old.earlier(tree), enumerate(now))
    because = {(entry.path, entry.rule, entry.about): why for entry, why in old.reasons.items()}
    anywhere = {(entry.rule, entry.about): why for entry, why in old.reasons.items()}
    counts: Counter[Entry] = Counter()
    reasons: dict[Entry, str] = {}
    for at, one in enumerate(now):
        if not (at in here or at in moved or reason):
            continue
        for fault in faults_of(one):
            entry = entry_of(fault)
            counts[entry] += 1
            before = [because.get((path, fault.rule, entry.about)) for path in fault.paths]
            before += [anywhere.get((fault.rule, entry.about))] if at in moved else []
            reasons.setdefault(entry, next((why for why in before if why), reason))
    return Known(counts, reasons)


def grown(before: Known, after: Known) -> Growth:
    """What the second knows more of than the first; a line that only moved to another document is no more."""
    gained, lost = _more(before, after), _more(after, before)
    weights: dict[tuple[str, str], tuple[Counter[str], Counter[str]]] = {}
    for at, entries in enumerate((gained, lost)):
        for entry, count in entries.items():
            both = weights.setdefault((entry.rule, entry.about), (Counter(), Counter()))
            both[at][entry.severity] += count
    more = {key: number for key, both in weights.items() if (number := _surplus(*both))}
    return Growth(sum(more.values()), frozenset(one for one in gained if (one.rule, one.about) in more))


def _more(before: Known, after: Known) -> dict[Entry, int]:
    more = {entry: count - before.counts.get(entry, 0) for entry, count in after.counts.items()}
    return {entry: count for entry, count in more.items() if count > 0}


def _surplus(gained: Mapping[str, int], lost: Mapping[str, int]) -> int:
    """How many more there are than those that went, of which each makes up for one that weighs no more."""
    surplus = spare = 0
    for severity in sorted(_WEIGHTS, key=lambda word: -_WEIGHTS[word]):
        spare += lost[severity] - gained[severity]
        if spare < 0:
            surplus, spare = surplus - spare, 0
    return surplus


def difference(before: Known, after: Known) -> str:
    """What became of the file, for people."""
    new, gone = grown(before, after).number, grown(after, before).number
    moved = sum(_more(before, after).values()) - new
    total = counted(sum(after.counts.values()), "known finding")
    return f"{total} ({f'{moved:,} moved, ' if moved else ''}{new:,} new, {gone:,} gone)"
