"""Whether a run is signed by those who must have signed it, as one tree has the run, its pin and its signatures.

What the lock pins is what has to be signed: so a clone without the artifacts can tell, and a manifest that was written
again with its pin is not what anybody signed. EVD008 holds what is on disk against the pin.
"""

from __future__ import annotations

from orchgate.attest import bundle
from orchgate.attest.envelope import MAX_BYTES
from orchgate.attest.signatures import SignatureState
from orchgate.attest.statement import Subject, accepted, digest_of, dirty_text, name_of, text_of
from orchgate.config import signing
from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import SUCCEEDED
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.locate import NAME, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from orchgate.attest.signatures import Signature, Verifier
    from orchgate.config.settings import Signatures
    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock import RunFacts
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.locate import ManifestPlace

MOST_RUNS = 500  # that one judgement verifies: each costs some processes
_SHOWN = 3  # signatures that do not hold, which a message names


def manifests_of(path: str, roots: tuple[str, ...]) -> Iterator[str]:
    """The manifests whose signatures a path may hold."""
    if run := bundle.run_of(path):
        yield from (f"{root}/{run[0]}/cli/{run[1]}/{NAME}" for root in roots)


def pinned_subject(facts: RunFacts, place: ManifestPlace | None, manifest: str, journal: str | None) -> Subject:
    """What has to have been signed of the run at a place whose pin has these facts, which rules believe, and hashes.

    Rules take more for a success than our own runs say: so nobody signed such a word of a run that failed.
    """
    beside = [None if paths is None else digest_of(paths) for paths in (facts.changed, facts.untracked)]
    changed, untracked = beside if facts.tree else (None, None)
    return Subject(
        *(manifest, journal, facts.tree, facts.commit),
        passed=not facts.status or facts.status.casefold() in SUCCEEDED,
        pipeline=text_of(facts.pipeline),
        changed=changed,
        untracked=untracked,
        dirty=dirty_text(facts.dirty) if facts.tree else None,
        run=name_of(place.task, place.run_id) if place else None,
        accepts=accepted(facts.accepts),
    )


class Lack(NamedTuple):
    """What a run lacks: `message` continues "the run …"."""

    message: str
    hint: str = ""


class TooMany(OrchgateError):
    """More runs than one judgement verifies."""


class SignedRuns:
    """Answers about the runs of one tree, each verified once, by one list of signers within its block.

    `before` is the tree that a change starts from. A signature that was there, of a run that `was_judged` there, is
    held to the moment at which that run ended, so that no calendar alone makes old evidence worthless; every other one
    is held to `now`: the end of a run is what its signature says, and nobody has asked yet when that was made.
    """

    def __init__(
        self,
        tree: Snapshot,
        before: Snapshot,
        runs: CitedRuns,
        policy: Signatures,
        *,
        verifier: Verifier,
        roots: tuple[str, ...],
        now: datetime,
        was_judged: Callable[[str], bool],
    ) -> None:
        self._tree = tree
        self._before = before
        self._runs = runs
        self._policy = policy
        self._verifier = verifier
        self._roots = roots
        self._now = now
        self._was_judged = was_judged
        self._known: dict[str, Lack | None] = {}

    def wanted(self, manifest: str) -> tuple[str, ...]:
        """The roles that must have signed a run. Raises OrchgateError where its manifest cannot be read."""
        return signing.wanted(self._policy, self._runs.facts(manifest).pipeline)

    def lack(self, manifest: str) -> Lack | None:
        """What a run lacks; None where it lacks nothing. Raises OrchgateError where nobody here can tell."""
        if manifest not in self._known:
            if len(self._known) >= MOST_RUNS:
                raise TooMany(f"more than {MOST_RUNS} runs have to be signed", "land them in several changes")
            self._known[manifest] = self._judge(manifest)
        return self._known[manifest]

    def _judge(self, manifest: str) -> Lack | None:
        roles = self.wanted(manifest)
        if not roles:
            return None
        place = place_of(manifest, self._roots)
        subject = self._subject(manifest, place)
        found = self._signatures(bundle.path_of(place), subject, manifest) if place else ()
        valid = [name for one in found if one.is_valid for name in one.principals]
        for role in roles:
            if not any(signing.holds(self._policy, role, name) for name in valid):
                return self._without(manifest, role, subject, found)
        return None

    def _subject(self, manifest: str, place: ManifestPlace | None) -> Subject:
        facts = self._runs.facts(manifest)
        return pinned_subject(facts, place, *self._runs.digests(manifest))

    def _signatures(self, path: str, subject: Subject, manifest: str) -> tuple[Signature, ...]:
        """The signatures of a run in this tree, each held to the moment that counts for it. Raises OrchgateError."""
        data, before = (tree.find(path, MAX_BYTES) or b"" for tree in (self._tree, self._before))
        found = self._verifier.verify(data, subject, at=self._now) if data else ()
        expired = any(one.state is SignatureState.EXPIRED for one in found)
        if expired and before and self._was_judged(manifest):
            return self._verifier.verify(data, subject, at=self._now, before=before)
        return found

    def _without(self, manifest: str, role: str, subject: Subject, found: tuple[Signature, ...]) -> Lack:
        """Why no signature in a role holds."""
        pipeline = self._runs.facts(manifest).pipeline or "no pipeline"
        place = place_of(manifest, self._roots)
        run = quoted(place.run_id) if place else "RUN"
        sign = f"`orchgate evidence sign {run}` by {role}, where it ran; or cite a run that {role} signed"
        if not found:
            return Lack(f"is not signed, and runs of {pipeline} must be signed by {role}", sign)
        if subject.journal is None and all(not one.is_valid for one in found):
            return Lack(f"is signed with its journal, which is not pinned: {_listed(found)}", "orchgate evidence pin")
        wrong = [one for one in found if not one.is_valid]
        if wrong:
            return Lack(f"has no signature by {role} that holds: {_listed(wrong)}", sign)
        names = ", ".join(dict.fromkeys(one.principal for one in found))
        return Lack(f"is signed by {clip(names, 120)}, and runs of {pipeline} must be signed by {role}", sign)


def _listed(found: tuple[Signature, ...] | list[Signature]) -> str:
    """Signatures that do not hold, each with its key and the reason."""
    words = [f"the one by {one.key} {one.why}" if one.key else f"line {one.line} {one.why}" for one in found[:_SHOWN]]
    return "; ".join(words) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
