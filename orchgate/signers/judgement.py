"""EVD014: what a change claims by a run, finishes by one, or takes the signature of, is signed by those who must.

A claim is asked once, when it lands: what an earlier change claimed is asked again only where this one alters the pin
or the signatures that it rests on, and then only if they held before.
"""

from __future__ import annotations

from contextlib import ExitStack

from orchgate.attest.bundle import ALLOWED_SIGNERS as ALLOWED
from orchgate.attest.signatures import Verifier
from orchgate.attest.ssh import CannotVerify
from orchgate.config import signing
from orchgate.errors import OrchgateError, Unreadable
from orchgate.evidence import kept_lock
from orchgate.evidence.facts import SUCCEEDED, CitedRuns
from orchgate.evidence.lock import Lock, LockError
from orchgate.evidence.packet_evidence import Owners, has_phase, linked_runs, required_runs
from orchgate.lib.files import WriteError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol, cached_property
from orchgate.markdown.document import Document
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.packets.catalog import Packets
from orchgate.runs.locate import JOURNAL, NAME, manifest_of
from orchgate.signers.requirement import Lack, SignedRuns, TooMany, manifests_of
from orchgate.signers.trusted import signers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from orchgate.config.settings import Config
    from orchgate.evidence.claims import RunClaim
    from orchgate.evidence.lock import RunFacts
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Scope
    from orchgate.packets.layout import Layout, Packet
    from orchgate.references.artifacts import Artifacts

    Said = Finding | Trouble

_ADOPT = "land .orchgate/allowed_signers first, in a separate change"


class JudgedChange(Protocol):
    """What is judged, and by what: a `Context` of the gate."""

    @property
    def config(self) -> Config: ...

    @property
    def scope(self) -> Scope: ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def base(self) -> Snapshot: ...

    @property
    def layout(self) -> Layout | None: ...

    @property
    def documents(self) -> DocumentSource: ...

    @property
    def as_finished(self) -> bool: ...

    @property
    def now(self) -> datetime: ...

    def artifacts_with(self, lock: Lock) -> Artifacts: ...


class DocumentSource(Protocol):
    def one(self, path: str) -> Document: ...


class RunsOfChange(NamedTuple):
    """The runs that a change cites, and what is on disk or pinned of them.

    `altered` are artifacts whose pins the change alters. `citing` gets the claims of all documents by some run ids,
    `cited_before` those that were there before the change.
    """

    artifacts: Artifacts
    runs: CitedRuns
    altered: Collection[str]
    citing: Callable[[frozenset[str]], Iterable[RunClaim]]
    cited_before: Callable[[frozenset[str]], Iterable[RunClaim]]


class NoSigners(OrchgateError):
    """The base names nobody whose signature counts."""


def unsigned(
    ctx: JudgedChange,
    found: RunsOfChange,
    claims: Iterable[RunClaim],
    packets: Iterable[Packet],
    lost: Iterable[RunClaim] = (),
) -> Iterator[Said]:
    """What is said of new claims, `lost` among them by runs that are nowhere, of finished packets and older claims."""
    with ExitStack() as stack:
        judge = _Judge(ctx, found, stack)
        yield from judge.claims(claims)
        yield from judge.lost(lost)
        yield from judge.packets(packets)
        yield from judge.older()


class _Judge:
    def __init__(self, ctx: JudgedChange, found: RunsOfChange, stack: ExitStack) -> None:
        self._ctx = ctx
        self._found = found
        self._stack = stack
        self._asked: set[tuple[str, str]] = set()  # documents and manifests of claims
        self._refused: set[str] = set()  # manifests
        self._noted = False

    @cached_property
    def _verifier(self) -> Verifier:
        """Raises NoSigners, Unreadable."""
        signers = signers_of(self._ctx.base, self._ctx.snapshot)
        if signers is None:
            raise NoSigners("the base has no list of signers, so nobody can tell whose signature counts", _ADOPT)
        return self._stack.enter_context(Verifier(signers))

    def _signed(self, tree: Snapshot, runs: CitedRuns, was_judged: Callable[[str], bool]) -> SignedRuns:
        ctx = self._ctx
        return SignedRuns(
            tree,
            ctx.base,
            runs,
            ctx.config.signatures,
            verifier=self._verifier,
            roots=self._found.artifacts.roots,
            now=ctx.now,
            was_judged=was_judged,
        )

    @cached_property
    def _now(self) -> SignedRuns:
        return self._signed(self._ctx.snapshot, self._found.runs, self._was_claimed)

    def _was_claimed(self, manifest: str) -> bool:
        """Whether a claim by a run was there, by a signature that held: any other one is one that nobody has judged.

        So is a claim that the run failed, and one by a pin that says that it is of a kind which need not be signed.
        """
        if self._held(manifest) is not True:
            return False
        claims = self._found.cited_before(frozenset((manifest.split("/")[-2],)))
        return any(claim.manifest == manifest and not claim.knowing for claim in claims)

    @cached_property
    def _lock_before(self) -> Lock | None:
        try:
            return kept_lock.of(self._ctx.base, self._ctx.base.cache) or Lock()
        except LockError:
            return None

    @cached_property
    def _before(self) -> SignedRuns | None:
        ctx, lock = self._ctx, self._lock_before
        if lock is None:
            return None
        runs = CitedRuns(ctx.base, ctx.artifacts_with(lock), ctx.config.manifests.max_bytes, lock)
        return self._signed(ctx.base, runs, lambda _: True)

    def _wanted(self, runs: CitedRuns, manifest: str) -> bool | Lack:
        """Whether a run has to be signed; or that nobody can tell, where its manifest cannot be read.

        Other rules speak of that, too, but a comment in a document silences them.
        """
        try:
            return bool(signing.wanted(self._ctx.config.signatures, runs.facts(manifest).pipeline))
        except OrchgateError as error:
            why = f"is of a run of which nobody can tell who must sign it: its manifest {error.message}"
            return Lack(why, error.hint)

    def _lack(self, manifest: str) -> Lack | Said | None:
        """What a run lacks. Where nobody here can tell, that; where nobody can have been asked before, a note."""
        try:
            return self._now.lack(manifest)
        except NoSigners as error:
            if self._ctx.scope.base is not None or self._ctx.as_finished:
                return Trouble(Location(ALLOWED), error.message, error.hint)
            message = "signatures count from the next change on: there is no base with a list of signers"
            return Finding("EVD014", Location(ALLOWED), message, "", Severity.NOTE)
        except OrchgateError as error:
            place = Location(error.path if isinstance(error, Unreadable) else ALLOWED)
            return Trouble(place, error.message, error.hint)

    # -- What the change claims -----------------------------------------------------------------

    def claims(self, claims: Iterable[RunClaim]) -> Iterator[Said]:
        for claim in claims:
            key = (claim.place.document.path, claim.manifest)
            wanted = key not in self._asked and self._wanted(self._found.runs, claim.manifest)
            if not wanted:
                continue
            self._asked.add(key)
            if isinstance(wanted, Lack):
                yield from self._of_claim(claim, wanted)
            elif not (claim.knowing and not _succeeded(self._found.runs, claim.manifest)):
                yield from self._of_claim(claim, self._lack(claim.manifest))

    def lost(self, claims: Iterable[RunClaim]) -> Iterator[Said]:
        """EVD001 speaks of them, too, but a comment in a document silences it."""
        why = "is of a run that is neither here nor pinned, and nobody can tell who must sign it"
        lack = Lack(why, "pin it and add its signatures, or cite a run that is pinned and signed")
        for claim in claims:
            key = (claim.place.document.path, claim.manifest)
            if key not in self._asked and not claim.knowing:
                self._asked.add(key)
                yield from self._of_claim(claim, lack)

    def _of_claim(self, claim: RunClaim, lack: Lack | Said | None) -> Iterator[Said]:
        if isinstance(lack, Lack):
            self._refused.add(claim.manifest)
            place = claim.place
            message = f"{place.reference.text} {lack.message}"
            yield Finding("EVD014", place.location, message, lack.hint, about=(claim.manifest,))
        elif lack is not None:
            yield from self._once(lack)

    def _once(self, said: Said) -> Iterator[Said]:
        if not (isinstance(said, Finding) and self._noted):
            yield said
        self._noted = self._noted or isinstance(said, Finding)

    # -- What it finishes -----------------------------------------------------------------------

    def packets(self, packets: Iterable[Packet]) -> Iterator[Said]:
        """Packets that are finished and were not: of the runs that are required of them, one of each kind is signed."""
        policy = self._ctx.config.signatures
        kinds = [kind for kind in required_runs(self._ctx.config) if signing.wanted(policy, kind.partition(":")[0])]
        for packet in packets if kinds else ():
            if not self._was_finished(packet):
                for kind in kinds:
                    yield from self._of_packet(packet, kind)

    def _of_packet(self, packet: Packet, kind: str) -> Iterator[Said]:
        pipeline, _, phase = kind.partition(":")
        ctx = self._ctx
        linked = linked_runs(packet, ctx.documents.one, self._found.artifacts, self._found.runs)
        lines = linked.get(pipeline, {}) if linked is not None else {}
        found = {path: self._lack(path) for path in lines}
        signed = {path: line for path, line in lines.items() if found[path] is None}
        if not lines or (signed and (not phase or has_phase(signed, phase))):
            return  # EVD010 asks for a run where none is linked
        lacks = [lack for lack in found.values() if lack is not None]
        for one in lacks:
            if not isinstance(one, Lack):
                yield from self._once(one)
                return
        if not lacks or not self._refused.isdisjoint(lines):
            return  # EVD010 asks for the other phase, and it was said of the claim itself
        path, lack = next((path, lack) for path, lack in found.items() if isinstance(lack, Lack))
        message = f"the packet is finished, and its run of {pipeline} {path} {lack.message}"
        yield Finding(
            "EVD014", Location(packet.anchor), message, lack.hint, about=(f"{kind} {path}",), documents=packet.paths
        )

    def _was_finished(self, packet: Packet) -> bool:
        names = {one.path: one.old_path or one.path for one in self._ctx.scope.changes}
        paths = [names.get(path, path) for path in packet.paths]
        there = (path for path in paths if path in self._ctx.base.entries)
        return any(self._owners_before.finished(path) for path in there)

    @cached_property
    def _owners_before(self) -> Owners:
        ctx = self._ctx
        read = ctx.base.read
        packets = Packets(ctx.config.documents, ctx.base, ctx.layout)
        return Owners(packets, lambda path: Document(path, read(path)), whole=False)

    # -- What it takes away ---------------------------------------------------------------------

    def older(self) -> Iterator[Said]:
        """Claims that were there and whose run was signed, by a pin or signatures that the change alters."""
        touched = {
            manifest for manifest in self._touched() if self._wanted(self._found.runs, manifest) or self._held(manifest)
        }
        if not touched:
            return
        ids = frozenset(manifest.split("/")[-2] for manifest in touched)
        for claim in self._found.citing(ids):
            key = (claim.place.document.path, claim.manifest)
            if claim.manifest in touched and key not in self._asked:
                self._asked.add(key)
                yield from self._of_older(claim)

    def _of_older(self, claim: RunClaim) -> Iterator[Said]:
        """What is said of a claim that was there. Where nobody can tell whether its run was signed, that."""
        lack = self._lack(claim.manifest)
        held = lack is not None and self._held(claim.manifest)
        if isinstance(held, Trouble):
            yield held
        elif lack is not None and held:
            yield from self._of_claim(claim, _taken(lack))
        elif lack is not None and self._is_asked_first(claim.manifest):
            yield from self._of_claim(claim, lack)

    def _is_asked_first(self, manifest: str) -> bool:
        """Whether a pin says of a run what must be signed, and said until now that it failed, or was of another kind.

        Nobody asked for a signature then, whatever a claim made of it.
        """
        pin, now = self._lock_before.get(manifest) if self._lock_before else None, self._found.runs.facts(manifest)
        if pin is None or pin.run is None or not _is_success(now):
            return False
        return not (_is_success(pin.run) and signing.wanted(self._ctx.config.signatures, pin.run.pipeline))

    def _touched(self) -> Iterator[str]:
        roots = self._found.artifacts.roots
        for change in self._ctx.scope.changes:
            for path in filter(None, (change.path, change.old_path)):
                yield from manifests_of(path, roots)
        for path in self._found.altered:
            if path.rpartition("/")[2] in (NAME, JOURNAL):
                yield manifest_of(path, roots)

    def _held(self, manifest: str) -> bool | Trouble:
        """Whether a run was signed as it has to be where the change starts; or why nobody here can tell."""
        try:
            before = self._before
            return before is not None and bool(before.wanted(manifest)) and before.lack(manifest) is None
        except (CannotVerify, TooMany, WriteError) as error:
            return Trouble(Location(ALLOWED), error.message, error.hint)
        except OrchgateError:  # it was not pinned, or there was no list of signers: nobody can have asked
            return False


def _taken(lack: Lack | Said) -> Lack | Said:
    return Lack(f"was signed, and now {lack.message}", lack.hint) if isinstance(lack, Lack) else lack


def _succeeded(runs: CitedRuns, manifest: str) -> bool:
    return _is_success(runs.facts(manifest))


def _is_success(facts: RunFacts) -> bool:
    """Whether rules take a run for one that succeeded: also where it does not say how it ended."""
    return not facts.status or facts.status.casefold() in SUCCEEDED
