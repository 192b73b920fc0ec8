"""The record of verdicts: read before anything of the change runs, written once everything it started has ended.

The same comparison asked for again goes on where it stopped. Its error budgets are split over the sittings: 2/3 for the
first, then 2/9, 2/27 and so on, which is never more than all of it, however often somebody pushes. The key holds
everything that decides a verdict, which programs the pipeline's commands are on this machine among it.

Beside the verdict of each comparison it holds how long runs took, and the heads of a branch: heads of which none is
surely slower may be slower together. Each head contributes one e-value, of all its pairs, whichever way its own
comparison ended; see `verdict.sign_flip`. The row begins anew with another base, definition or machine, and after a
head that was surely slower.
"""

from __future__ import annotations

import contextlib
import json

from orchgate.errors import OrchgateError
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Severity, Step
from orchgate.speed.push import private_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.speed.push.private_store import PrivateStore
    from orchgate.verdict.values import Pair, Sitting

VERSION = 4  # of the rule as well: what was judged by another one is judged again
_FIRST_SHARE = 2 / 3
_LONGEST = 16 << 20  # bytes of an entry once it is unpacked
_MOST_HEADS = 64  # heads; of more, the oldest ones are taken together
CHANGED = "was changed while the pipeline ran; it was rewritten from what was read before"
_MOST_RUNS = 64
ANOTHER = "another push of the same trees ended in the meantime: these pairs were not kept"


class ComparisonKey(NamedTuple):
    """What a judgement is about: two trees, a digest of everything that was asked of them, and the kind of machine."""

    base: str
    head: str
    asked: str
    machine: str


class RunDuration(NamedTuple):
    """How long a run of a tree took, in seconds; `at_least`: it was not over by then. `at` is an ISO 8601 time."""

    tree: str
    seconds: float
    at_least: bool = False
    at: str = ""


class StoredVerdict(NamedTuple):
    """What is kept of one request, judged `at` an ISO 8601 time; "" for never.

    `conclusive`: asking again would bring nothing new, and `findings` are the answer, from `judged` pairs. `pairs` are
    those of all `sittings`, to be gone on with; `spent` counts the shares that were handed out, also to pushes that are
    still measuring.
    """

    at: str = ""
    conclusive: bool = False
    judged: int = 0
    findings: tuple[Finding, ...] = ()
    pairs: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    spent: int = 0

    def follows(self, other: StoredVerdict) -> bool:
        """Whether this is what other pushes may have made of an entry. An older one that somebody put back is not."""
        return self.spent >= other.spent and self.pairs[: len(other.pairs)] == other.pairs


def share(spent: int) -> float:
    """The fraction of the error budgets for the sitting after so many. All of them add up to 1."""
    return float(_FIRST_SHARE * (1 - _FIRST_SHARE) ** spent)


def encoded(entry: StoredVerdict) -> bytes:
    import json
    import zlib

    findings = [_plain_finding(one) for one in entry.findings]
    pairs = [[dict(one.base), dict(one.head), one.head_first, *map(dict, one[3:7]), one.machine] for one in entry.pairs]
    stored = {"version": VERSION, **entry._asdict(), "findings": findings, "pairs": pairs}
    # zlib rather than a denser packing: a hook imports it anyway, and samples shrink to a fifth.
    return zlib.compress(json.dumps(stored, separators=(",", ":")).encode("ascii"))


def _plain_finding(one: Finding) -> dict[str, object]:
    severity = one.severity.value if one.severity else None
    return {"rule": one.rule, "message": one.message, "hint": one.hint, "severity": severity, "steps": one.steps}


def _finding(stored: Mapping[str, Any]) -> Finding:
    """Raises ValueError, TypeError, KeyError."""
    steps = tuple(Step(str(label), str(command)) for label, command in stored["steps"])
    text = str(stored["message"]), str(stored["hint"])
    return Finding(str(stored["rule"]), Location(""), *text, Severity(stored["severity"]), steps=steps)


def decoded(data: bytes | None) -> StoredVerdict | None:
    """An entry as it was encoded; None for anything else, such as one of another version."""
    import json
    import zlib

    if data is None:
        return None
    try:
        return _built(json.loads(zlib.decompressobj().decompress(data, _LONGEST)))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _built(stored: Mapping[str, Any]) -> StoredVerdict:
    """Raises ValueError, TypeError, KeyError, AttributeError."""
    counts = stored["judged"], stored["spent"]
    if stored["version"] != VERSION or not all(isinstance(one, int) for one in counts):
        raise ValueError
    findings = tuple(_finding(one) for one in stored["findings"])
    pairs = tuple(_pair(*one) for one in stored["pairs"])
    sittings = tuple(_sitting(*one) for one in stored["sittings"])
    return StoredVerdict(
        str(stored["at"]), stored["conclusive"] is True, counts[0], findings, pairs, sittings, counts[1]
    )


# A push that is answered from the record needs neither pairs nor sittings.


def _sitting(begun: int, planned: int, share_: float) -> Sitting:
    from orchgate.verdict.values import Sitting

    return Sitting(int(begun), int(planned), float(share_))


def _pair(  # noqa: PLR0917 -- the fields of a pair, in their order
    base: Mapping[str, float],
    head: Mapping[str, float],
    head_first: bool,
    base_bounds: Mapping[str, str],
    head_bounds: Mapping[str, str],
    base_unread: Mapping[str, str],
    head_unread: Mapping[str, str],
    machine: str = "",
) -> Pair:
    from orchgate.verdict.values import Pair

    base, head = ({str(name): _rounded(float(value)) for name, value in side.items()} for side in (base, head))
    told = (base_bounds, head_bounds, base_unread, head_unread)
    reasons = [{str(name): str(why) for name, why in side.items()} for side in told]
    return Pair(base, head, head_first is True, reasons[0], reasons[1], reasons[2], reasons[3], str(machine))


def _rounded(value: float) -> float:
    """A value to nine digits, which no clock has; counts are exact."""
    return value if value.is_integer() else float(f"{value:.9g}")


def plain(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs as they are when they are read again."""
    return tuple(_pair(*pair) for pair in pairs)


def digest(parts: Iterable[object]) -> str:
    """SHA-256, in hex, of values whose `ascii` says all there is to say about them."""
    return sha256_hex("\0".join(map(ascii, parts)))


# The record


class BranchHead(NamedTuple):
    tree: str
    log_e: float


def with_head(heads: Iterable[BranchHead], head: BranchHead) -> tuple[BranchHead, ...]:
    """A row with a head that may be in it already: then what is known of it now counts."""
    row = [one for one in heads if one.tree != head.tree]
    row.append(head)
    while len(row) > _MOST_HEADS:
        row[:2] = [BranchHead("", row[0].log_e + row[1].log_e)]
    return tuple(row)


def encoded_heads(heads: Iterable[BranchHead]) -> bytes:
    return json.dumps([[head.tree, head.log_e] for head in heads]).encode("ascii")


def decoded_heads(data: bytes | None) -> tuple[BranchHead, ...]:
    """A row as it was encoded; none for anything else."""
    if data is None:
        return ()
    try:
        return tuple(BranchHead(str(tree), float(log_e)) for tree, log_e in json.loads(data))
    except (ValueError, TypeError):
        return ()


class VerdictRecord(NamedTuple):
    """What is known of a request that a push of a branch asks. `why` nothing can be kept, "" where it can.

    `ran` is how long runs took when the same was asked, also of other trees, the last one last. `heads` are those of
    the branch that were compared with the same base.
    """

    key: ComparisonKey
    branch: str = ""
    store: PrivateStore | None = None
    entry: StoredVerdict = StoredVerdict()
    ran: tuple[RunDuration, ...] = ()
    heads: tuple[BranchHead, ...] = ()
    forged: bool = False
    why: str = ""

    @property
    def path(self) -> str:
        """The file to remove, so that the request is measured again."""
        return self.store.path(*self.key) if self.store else ""

    @property
    def facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"not recorded": self.why} if self.why else {}
        return facts | ({"not trusted": f"{self.path} is not what was written there"} if self.forged else {})


class OpenSitting(NamedTuple):
    """One sitting of a request: what it continues, and the share of the error budgets that it may spend.

    `raw` is the file as this sitting left it.
    """

    record: VerdictRecord
    earlier: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    share: float = 1.0
    raw: bytes | None = None


class SittingResult(NamedTuple):
    """What a sitting brought: `pairs` are the new ones; `sitting` is None where no other sitting continues them.

    `log_e` is what all pairs of the head say, None where that is nothing. `slower`: that head is surely slower.
    """

    entry: StoredVerdict
    pairs: Sequence[Pair] = ()
    sitting: Sitting | None = None
    ran: tuple[RunDuration, ...] = ()
    log_e: float | None = None
    slower: bool = False


def opened(environ: Mapping[str, str], common_dir: str, key: ComparisonKey, branch: str = "") -> VerdictRecord:
    """What is known of a request. No errors: what cannot be read is not known."""
    try:
        store = private_store.opened(environ, common_dir)
    except OrchgateError as error:
        return VerdictRecord(key, branch, why=error.message)
    record = VerdictRecord(key, branch, store)
    content = private_store.read(store, *key)
    return record._replace(
        entry=decoded(content.data) or StoredVerdict(),
        ran=_durations(private_store.read(store, *_about_durations(key)).data),
        heads=decoded_heads(private_store.read(store, *_about_branch(record)).data) if branch else (),
        forged=content.is_forged,
    )


def _durations(data: bytes | None) -> tuple[RunDuration, ...]:
    return () if data is None else tuple(RunDuration(*one) for one in json.loads(data))  # it is signed: we wrote it


def _about_durations(key: ComparisonKey) -> tuple[str, ...]:
    return ("durations", key.asked, key.machine)


def _about_branch(record: VerdictRecord) -> tuple[str, ...]:
    return ("branch", record.branch, record.key.base, record.key.asked, record.key.machine)


def begin(record: VerdictRecord) -> OpenSitting:
    """Takes the next share of a request. Where that cannot be kept, the pairs are not used: they could be twice."""
    if record.store is None:
        return OpenSitting(record)
    try:
        with private_store.alone(record.store):
            entry = decoded(private_store.read(record.store, *record.key).data) or StoredVerdict()
            taken = entry._replace(spent=entry.spent + 1)
            raw = private_store.write(record.store, encoded(taken), *record.key)
    except OrchgateError as error:
        return OpenSitting(record._replace(store=None, forged=False, why=error.message))  # which names the file
    return OpenSitting(record._replace(entry=taken), entry.pairs, entry.sittings, share(entry.spent), raw)


@contextlib.contextmanager
def give_back_on_error(sitting: OpenSitting) -> Iterator[None]:
    """Gives the share back where what is done in the block ends without an answer."""
    try:
        yield
    except BaseException:
        end(sitting, SittingResult(sitting.record.entry))
        raise


def end(sitting: OpenSitting, result: SittingResult) -> dict[str, object]:
    """Keeps the result of a sitting; facts about that. What cannot be written leaves the answer as it is."""
    store = sitting.record.store
    if store is None:
        return sitting.record.facts
    try:
        with private_store.alone(store):
            return sitting.record.facts | _kept(sitting, store, result)
    except OrchgateError as error:
        return {**sitting.record.facts, "not recorded": error.message}


def _kept(sitting: OpenSitting, store: PrivateStore, result: SittingResult) -> dict[str, object]:
    """Raises WriteError."""
    record = sitting.record
    now = _trusted(sitting, private_store.read(store, *record.key))
    facts: dict[str, object] = {} if now is not None else {"not trusted": f"{record.path} {CHANGED}"}
    entry = _with_result(sitting, now or record.entry, result)
    if entry is None:
        return {**facts, "not recorded": ANOTHER}
    if entry == StoredVerdict():
        private_store.remove(store, *record.key)
    else:
        private_store.write(store, encoded(entry), *record.key)
    if result.ran:
        _keep_durations(record, store, result)
    if record.branch:
        _keep_head(record, store, result)
    return facts


def _keep_durations(record: VerdictRecord, store: PrivateStore, result: SittingResult) -> None:
    """Raises WriteError."""
    about = _about_durations(record.key)
    content = private_store.read(store, *about)
    before = record.ran if content.is_forged else _durations(content.data)
    private_store.write(store, json.dumps((*before, *result.ran)[-_MOST_RUNS:]).encode("ascii"), *about)


def _keep_head(record: VerdictRecord, store: PrivateStore, result: SittingResult) -> None:
    """Raises WriteError."""
    about = _about_branch(record)
    if result.slower:
        private_store.remove(store, *about)
    elif result.log_e is not None:
        content = private_store.read(store, *about)
        row = record.heads if content.is_forged else decoded_heads(content.data)
        row = with_head(row, BranchHead(record.key.head, result.log_e))
        private_store.write(store, encoded_heads(row), *about)


def _trusted(sitting: OpenSitting, content: private_store.StoredContent) -> StoredVerdict | None:
    """The entry as it is now: as this sitting left it, or as other pushes did. None where something else changed it."""
    if content.raw == sitting.raw:
        return sitting.record.entry
    entry = decoded(content.data)
    return entry if entry is not None and entry.follows(sitting.record.entry) else None


def _with_result(sitting: OpenSitting, now: StoredVerdict, result: SittingResult) -> StoredVerdict | None:
    """The entry with the result of a sitting; None where that cannot be part of it.

    A sitting whose pairs were not looked at, because there are too few so far, gives its share back and does not count:
    the next one continues with its pairs as if they were its own.
    """
    if result.entry.conclusive:
        return result.entry._replace(pairs=now.pairs, sittings=now.sittings, spent=now.spent)
    if now.conclusive:
        return now
    from orchgate.verdict.values import LOOKS

    alone = now.pairs == sitting.earlier
    looked = bool(result.pairs) and len(sitting.earlier) + len(result.pairs) >= LOOKS[0]
    if not looked and alone and now.spent == sitting.record.entry.spent:
        now = now._replace(spent=now.spent - 1)
    if result.sitting is None or not result.pairs:
        return now
    if not alone:
        return None
    pairs = (*now.pairs, *plain(result.pairs))
    whole = len(pairs) >= LOOKS[-1]  # as many as there may ever be: asking again brings nothing new
    sittings = (*now.sittings, result.sitting) if looked else now.sittings
    return result.entry._replace(pairs=pairs, sittings=sittings, spent=now.spent, conclusive=whole)
