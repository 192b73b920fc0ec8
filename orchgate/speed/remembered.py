"""The memory of a push: read before anything of the change runs, written once all that it started is dead."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.speed import heads, verdicts
from orchgate.speed import vault as vaults
from orchgate.speed.verdicts import Entry, Ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.speed.heads import Head
    from orchgate.speed.vault import Vault
    from orchgate.speed.verdicts import Key
    from orchgate.verdict.values import Pair, Sitting

CHANGED = "was changed while the pipeline ran; it is written anew from what was read before"
_MOST_RUNS = 64
ANOTHER = "another push of the same trees has ended meanwhile: these pairs are not kept"


class Memory(NamedTuple):
    """What is known of a question that a push of a branch asks. `why` nothing can be kept, "" where it can.

    `ran` is how long runs took when the same was asked, also of other trees, the last one last. `heads` are those of
    the branch that were compared with the same base.
    """

    key: Key
    branch: str = ""
    vault: Vault | None = None
    entry: Entry = Entry()
    ran: tuple[Ran, ...] = ()
    heads: tuple[Head, ...] = ()
    forged: bool = False
    why: str = ""

    @property
    def path(self) -> str:
        """The file to remove for the question to be asked anew."""
        return self.vault.path(*self.key) if self.vault else ""

    @property
    def facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"not recorded": self.why} if self.why else {}
        return facts | ({"not trusted": f"{self.path} is not what was written there"} if self.forged else {})


class Turn(NamedTuple):
    """One sitting of a question: what it goes on with, and the share of the error budgets that it may spend.

    `raw` is the file as this turn left it.
    """

    memory: Memory
    earlier: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    share: float = 1.0
    raw: bytes | None = None


class Brought(NamedTuple):
    """What a turn brought: `pairs` are the new ones, and `sitting` is None where they are not to be gone on with.

    `log_e` is what all pairs of the head say, None where that is nothing. `slower`: that head is surely slower.
    """

    entry: Entry
    pairs: Sequence[Pair] = ()
    sitting: Sitting | None = None
    ran: tuple[Ran, ...] = ()
    log_e: float | None = None
    slower: bool = False


def opened(environ: Mapping[str, str], common_dir: str, key: Key, branch: str = "") -> Memory:
    """What is known of a question. No errors: what cannot be read is not known."""
    try:
        vault = vaults.opened(environ, common_dir)
    except OrchgateError as error:
        return Memory(key, branch, why=error.message)
    memory = Memory(key, branch, vault)
    content = vaults.read(vault, *key)
    return memory._replace(
        entry=verdicts.decoded(content.data) or Entry(),
        ran=_durations(vaults.read(vault, *_about_durations(key)).data),
        heads=heads.decoded(vaults.read(vault, *_about_branch(memory)).data) if branch else (),
        forged=content.is_forged,
    )


def _durations(data: bytes | None) -> tuple[Ran, ...]:
    return () if data is None else tuple(Ran(*one) for one in json.loads(data))  # it is sealed: we wrote it


def _about_durations(key: Key) -> tuple[str, ...]:
    return ("durations", key.asked, key.machine)


def _about_branch(memory: Memory) -> tuple[str, ...]:
    return ("branch", memory.branch, memory.key.base, memory.key.asked, memory.key.machine)


def begun(memory: Memory) -> Turn:
    """Takes the next share of a question. Where that cannot be kept, the pairs are not used: they could be twice."""
    if memory.vault is None:
        return Turn(memory)
    try:
        with vaults.alone(memory.vault):
            entry = verdicts.decoded(vaults.read(memory.vault, *memory.key).data) or Entry()
            taken = entry._replace(spent=entry.spent + 1)
            raw = vaults.write(memory.vault, verdicts.encoded(taken), *memory.key)
    except OrchgateError as error:
        return Turn(memory._replace(vault=None, forged=False, why=error.message))  # which names the file
    return Turn(memory._replace(entry=taken), entry.pairs, entry.sittings, verdicts.share(entry.spent), raw)


@contextlib.contextmanager
def given_back(turn: Turn) -> Iterator[None]:
    """Gives the share back where what is done in the block ends without an answer."""
    try:
        yield
    except BaseException:
        ended(turn, Brought(turn.memory.entry))
        raise


def ended(turn: Turn, brought: Brought) -> dict[str, object]:
    """Keeps what a turn brought; what there is to say about that. What cannot be written leaves the answer as it is."""
    vault = turn.memory.vault
    if vault is None:
        return turn.memory.facts
    try:
        with vaults.alone(vault):
            return turn.memory.facts | _kept(turn, vault, brought)
    except OrchgateError as error:
        return {**turn.memory.facts, "not recorded": error.message}


def _kept(turn: Turn, vault: Vault, brought: Brought) -> dict[str, object]:
    """Raises WriteError."""
    memory = turn.memory
    now = _trusted(turn, vaults.read(vault, *memory.key))
    facts: dict[str, object] = {} if now is not None else {"not trusted": f"{memory.path} {CHANGED}"}
    entry = _with(turn, now or memory.entry, brought)
    if entry is None:
        return {**facts, "not recorded": ANOTHER}
    if entry == Entry():
        vaults.remove(vault, *memory.key)
    else:
        vaults.write(vault, verdicts.encoded(entry), *memory.key)
    if brought.ran:
        _keep_durations(memory, vault, brought)
    if memory.branch:
        _keep_head(memory, vault, brought)
    return facts


def _keep_durations(memory: Memory, vault: Vault, brought: Brought) -> None:
    """Raises WriteError."""
    about = _about_durations(memory.key)
    content = vaults.read(vault, *about)
    before = memory.ran if content.is_forged else _durations(content.data)
    vaults.write(vault, json.dumps((*before, *brought.ran)[-_MOST_RUNS:]).encode("ascii"), *about)


def _keep_head(memory: Memory, vault: Vault, brought: Brought) -> None:
    """Raises WriteError."""
    about = _about_branch(memory)
    if brought.slower:
        vaults.remove(vault, *about)
    elif brought.log_e is not None:
        content = vaults.read(vault, *about)
        row = memory.heads if content.is_forged else heads.decoded(content.data)
        row = heads.added(row, heads.Head(memory.key.head, brought.log_e))
        vaults.write(vault, heads.encoded(row), *about)


def _trusted(turn: Turn, content: vaults.Content) -> Entry | None:
    """The entry as it is now: as this turn left it, or as other pushes did. None where anybody else was at it."""
    if content.raw == turn.raw:
        return turn.memory.entry
    entry = verdicts.decoded(content.data)
    return entry if entry is not None and entry.follows(turn.memory.entry) else None


def _with(turn: Turn, now: Entry, brought: Brought) -> Entry | None:
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
    pairs = (*now.pairs, *verdicts.plain(brought.pairs))
    whole = len(pairs) >= LOOKS[-1]  # as many as there may ever be: asking again brings nothing new
    sittings = (*now.sittings, brought.sitting) if looked else now.sittings
    return brought.entry._replace(pairs=pairs, sittings=sittings, spent=now.spent, conclusive=whole)
