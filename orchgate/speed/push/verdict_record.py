"""The record of verdicts: read before anything of the change runs, written once all that it started is dead.

Beside the verdict of each comparison it holds how long runs took, and the heads of a branch: heads of which none is
surely slower may be slower together. Each head contributes one e-value, of all its pairs, whichever way its own
comparison ended; see `verdict.betting`. The row begins anew with another base, definition or machine, and after a head
that was surely slower.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.speed.push import private_store, stored_verdict
from orchgate.speed.push.stored_verdict import RunDuration, StoredVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.speed.push.private_store import PrivateStore
    from orchgate.speed.push.stored_verdict import ComparisonKey
    from orchgate.verdict.values import Pair, Sitting

_MOST_HEADS = 64  # heads; of more, the oldest ones are taken together
CHANGED = "was changed while the pipeline ran; it was rewritten from what was read before"
_MOST_RUNS = 64
ANOTHER = "another push of the same trees has ended meanwhile: these pairs are not kept"


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
        """The file to remove for the request to be asked anew."""
        return self.store.path(*self.key) if self.store else ""

    @property
    def facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"not recorded": self.why} if self.why else {}
        return facts | ({"not trusted": f"{self.path} is not what was written there"} if self.forged else {})


class OpenSitting(NamedTuple):
    """One sitting of a request: what it goes on with, and the share of the error budgets that it may spend.

    `raw` is the file as this turn left it.
    """

    memory: VerdictRecord
    earlier: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    share: float = 1.0
    raw: bytes | None = None


class SittingResult(NamedTuple):
    """What a turn brought: `pairs` are the new ones, and `sitting` is None where they are not to be gone on with.

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
    memory = VerdictRecord(key, branch, store)
    content = private_store.read(store, *key)
    return memory._replace(
        entry=stored_verdict.decoded(content.data) or StoredVerdict(),
        ran=_durations(private_store.read(store, *_about_durations(key)).data),
        heads=decoded_heads(private_store.read(store, *_about_branch(memory)).data) if branch else (),
        forged=content.is_forged,
    )


def _durations(data: bytes | None) -> tuple[RunDuration, ...]:
    return () if data is None else tuple(RunDuration(*one) for one in json.loads(data))  # it is signed: we wrote it


def _about_durations(key: ComparisonKey) -> tuple[str, ...]:
    return ("durations", key.asked, key.machine)


def _about_branch(memory: VerdictRecord) -> tuple[str, ...]:
    return ("branch", memory.branch, memory.key.base, memory.key.asked, memory.key.machine)


def begun(memory: VerdictRecord) -> OpenSitting:
    """Takes the next share of a request. Where that cannot be kept, the pairs are not used: they could be twice."""
    if memory.store is None:
        return OpenSitting(memory)
    try:
        with private_store.alone(memory.store):
            entry = stored_verdict.decoded(private_store.read(memory.store, *memory.key).data) or StoredVerdict()
            taken = entry._replace(spent=entry.spent + 1)
            raw = private_store.write(memory.store, stored_verdict.encoded(taken), *memory.key)
    except OrchgateError as error:
        return OpenSitting(memory._replace(store=None, forged=False, why=error.message))  # which names the file
    return OpenSitting(
        memory._replace(entry=taken), entry.pairs, entry.sittings, stored_verdict.share(entry.spent), raw
    )


@contextlib.contextmanager
def given_back(turn: OpenSitting) -> Iterator[None]:
    """Gives the share back where what is done in the block ends without an answer."""
    try:
        yield
    except BaseException:
        ended(turn, SittingResult(turn.memory.entry))
        raise


def ended(turn: OpenSitting, brought: SittingResult) -> dict[str, object]:
    """Keeps what a turn brought; what there is to say about that. What cannot be written leaves the answer as it is."""
    store = turn.memory.store
    if store is None:
        return turn.memory.facts
    try:
        with private_store.alone(store):
            return turn.memory.facts | _kept(turn, store, brought)
    except OrchgateError as error:
        return {**turn.memory.facts, "not recorded": error.message}


def _kept(turn: OpenSitting, store: PrivateStore, brought: SittingResult) -> dict[str, object]:
    """Raises WriteError."""
    memory = turn.memory
    now = _trusted(turn, private_store.read(store, *memory.key))
    facts: dict[str, object] = {} if now is not None else {"not trusted": f"{memory.path} {CHANGED}"}
    entry = _with_result(turn, now or memory.entry, brought)
    if entry is None:
        return {**facts, "not recorded": ANOTHER}
    if entry == StoredVerdict():
        private_store.remove(store, *memory.key)
    else:
        private_store.write(store, stored_verdict.encoded(entry), *memory.key)
    if brought.ran:
        _keep_durations(memory, store, brought)
    if memory.branch:
        _keep_head(memory, store, brought)
    return facts


def _keep_durations(memory: VerdictRecord, store: PrivateStore, brought: SittingResult) -> None:
    """Raises WriteError."""
    about = _about_durations(memory.key)
    content = private_store.read(store, *about)
    before = memory.ran if content.is_forged else _durations(content.data)
    private_store.write(store, json.dumps((*before, *brought.ran)[-_MOST_RUNS:]).encode("ascii"), *about)


def _keep_head(memory: VerdictRecord, store: PrivateStore, brought: SittingResult) -> None:
    """Raises WriteError."""
    about = _about_branch(memory)
    if brought.slower:
        private_store.remove(store, *about)
    elif brought.log_e is not None:
        content = private_store.read(store, *about)
        row = memory.heads if content.is_forged else decoded_heads(content.data)
        row = with_head(row, BranchHead(memory.key.head, brought.log_e))
        private_store.write(store, encoded_heads(row), *about)


def _trusted(turn: OpenSitting, content: private_store.StoredContent) -> StoredVerdict | None:
    """The entry as it is now: as this turn left it, or as other pushes did. None where anybody else was at it."""
    if content.raw == turn.raw:
        return turn.memory.entry
    entry = stored_verdict.decoded(content.data)
    return entry if entry is not None and entry.follows(turn.memory.entry) else None


def _with_result(turn: OpenSitting, now: StoredVerdict, brought: SittingResult) -> StoredVerdict | None:
    """The entry with what a turn brought; None where that cannot be in it.

    A turn of which nobody looked at the pairs, because there are too few so far, gives its share back and is no sitting
    of its own: the next one goes on with its pairs as if they were its own.
    """
    if brought.entry.conclusive:
        return brought.entry._replace(pairs=now.pairs, sittings=now.sittings, spent=now.spent)
    if now.conclusive:
        return now
    from orchgate.verdict.comparison import LOOKS

    alone = now.pairs == turn.earlier
    looked = bool(brought.pairs) and len(turn.earlier) + len(brought.pairs) >= LOOKS[0]
    if not looked and alone and now.spent == turn.memory.entry.spent:
        now = now._replace(spent=now.spent - 1)
    if brought.sitting is None or not brought.pairs:
        return now
    if not alone:
        return None
    pairs = (*now.pairs, *stored_verdict.plain(brought.pairs))
    whole = len(pairs) >= LOOKS[-1]  # as many as there may ever be: asking again brings nothing new
    sittings = (*now.sittings, brought.sitting) if looked else now.sittings
    return brought.entry._replace(pairs=pairs, sittings=sittings, spent=now.spent, conclusive=whole)
