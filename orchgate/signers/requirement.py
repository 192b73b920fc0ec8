"""Whether a run is signed by those who must have signed it, as one tree has the run, its pin and its signatures.

What the lock pins is what has to be signed: so a clone without the artifacts can tell, and a manifest that was written
again with its pin is not what anybody signed. EVD008 holds what is on disk against the pin.
"""

from __future__ import annotations

from orchgate.attest.signatures import RUN_END, Signature, Verifier
from orchgate.attest.statement import Subject
from orchgate.config import signing
from orchgate.errors import OrchgateError
from orchgate.evidence.facts import SUCCEEDED
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.locate import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from orchgate.config.settings import Signatures
    from orchgate.evidence.facts import CitedRuns
    from orchgate.git.snapshot import Snapshot

FOLDER = ".orchgate/signatures"
SUFFIX = ".intoto.jsonl"
MAX_BYTES = 4 * 1024 * 1024
MOST_RUNS = 500  # that one judgement verifies: each costs some processes
_SHOWN = 3  # signatures that do not hold, which a message names


def path_of(manifest: str, roots: tuple[str, ...]) -> str:
    """Where the signatures of a run are; "" for a path that is no manifest's."""
    place = place_of(manifest, roots)
    return f"{FOLDER}/{place.task}/{place.run_id}{SUFFIX}" if place else ""


def manifests_of(path: str, roots: tuple[str, ...]) -> Iterator[str]:
    """The manifests whose signatures a path may hold."""
    task, _, name = path.removeprefix(FOLDER + "/").rpartition("/")
    if path.startswith(FOLDER + "/") and name.endswith(SUFFIX) and task and "/" not in task:
        yield from (f"{root}/{task}/cli/{name.removesuffix(SUFFIX)}/manifest.json" for root in roots)


class Lack(NamedTuple):
    """What a run lacks: `message` continues "the run …"."""

    message: str
    hint: str = ""


class TooMany(OrchgateError):
    """More runs than one judgement verifies."""


class SignedRuns:
    """Answers about the runs of one tree, each verified once, by one list of signers within its block.

    `before` is the tree that a change starts from: a signature that was there is held to the moment at which its run
    ended, so that no calendar alone makes old evidence worthless; one that the change adds is held to `now`.
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
    ) -> None:
        self._tree = tree
        self._before = before
        self._runs = runs
        self._policy = policy
        self._verifier = verifier
        self._roots = roots
        self._now = now
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
        subject = self._subject(manifest)
        found = tuple(self._signatures(path_of(manifest, self._roots), subject))
        valid = [name for one in found if one.is_valid for name in one.principals]
        for role in roles:
            if not any(signing.holds(self._policy, role, name) for name in valid):
                return self._without(manifest, role, subject, found)
        return None

    def _subject(self, manifest: str) -> Subject:
        facts = self._runs.facts(manifest)
        sha256, journal = self._runs.digests(manifest)
        return Subject(sha256, journal, facts.tree, facts.commit, facts.status.casefold() in SUCCEEDED)

    def _signatures(self, path: str, subject: Subject) -> Iterator[Signature]:
        """The signatures of a run in this tree, each held to the moment that counts for it. Raises OrchgateError."""
        data = (self._tree.find(path, MAX_BYTES) if path else None) or b""
        if not data:
            return
        if self._tree is self._before:
            yield from self._verifier.verify(data, subject, at=RUN_END)
            return
        old = set((self._before.find(path, MAX_BYTES) or b"").split(b"\n"))
        lines = data.split(b"\n")
        for kept, moment in ((True, RUN_END), (False, self._now)):
            chosen = b"\n".join(line for line in lines if (line in old) == kept)
            if chosen.strip():
                yield from self._verifier.verify(chosen, subject, at=moment)

    def _without(self, manifest: str, role: str, subject: Subject, found: tuple[Signature, ...]) -> Lack:
        """Why no signature in a role holds."""
        pipeline = self._runs.facts(manifest).pipeline or "no pipeline"
        sign = f"cite a run that {role} signed, or have {role} sign this one"
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
