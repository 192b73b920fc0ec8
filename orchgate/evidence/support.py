"""Judges what is there: whether an artifact supports the claim that cites it, and whether others will find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import KeptElsewhere, OrchgateError
from orchgate.evidence.facts import FAILURE, SUCCEEDED
from orchgate.evidence.references import task_folder
from orchgate.model import Finding, Location, Trouble
from orchgate.references.targets import TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock_checks import LockChecks
    from orchgate.evidence.owners import Owners
    from orchgate.evidence.references import References
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts
    from orchgate.references.links import Reference
    from orchgate.references.resolve import Resolution
    from orchgate.references.targets import ReferenceTarget


class Support:
    """Findings about references that lead to something.

    `kept` is None where the tree keeps no lock: then nothing is said about pins.
    """

    def __init__(
        self,
        references: References,
        packets: Owners,
        runs: CitedRuns,
        artifacts: Artifacts,
        *,
        kept: LockChecks | None = None,
    ) -> None:
        self._references = references
        self._packets = packets
        self._runs = runs
        self._artifacts = artifacts
        self._kept = kept
        self._roots = tuple(root + "/" for root in artifacts.roots)
        self.troubles: dict[str, Trouble] = {}  # manifests that nobody here can judge

    def findings(
        self, document: Document, reference: Reference, target: ReferenceTarget, found: Resolution
    ) -> Iterator[Finding]:
        if target.kind is TargetKind.PATH and self._artifacts.owns(found.path):
            yield from self._cited(document, reference, found.path)
        if self._kept is not None:
            yield from self._kept.findings(self._references.place(document, reference), target, found.path)

    # -- EVD006, EVD007: it does not support the claim -----------------------------------------

    def _cited(self, document: Document, reference: Reference, path: str) -> Iterator[Finding]:
        folder = task_folder(path, self._roots)
        manifest = path.endswith("/manifest.json")
        other = self._packets.foreign(document.path, folder) if folder else ""
        ended = self._ended(reference, path) if manifest else None
        if not other and ended is None:
            return
        place = self._references.place(document, reference)
        if not place.claimed:
            return
        if other:
            yield Finding(
                "EVD006",
                place.location,
                f"{reference.text} is evidence of another task, {other}",
                "link a run of this task, or say in the text why the other one counts",
            )
        if ended and not place.said.says(FAILURE) and not FAILURE.search(place.rest()):
            yield Finding("EVD007", place.location, *ended)

    def _ended(self, reference: Reference, path: str) -> tuple[str, str] | None:
        """Message and hint when a cited run did not succeed."""
        try:
            status = self._runs.status(path)
        except KeptElsewhere as error:
            self.troubles[path] = Trouble(Location(path), error.message, error.hint)
            return None
        except OrchgateError as error:
            hint = error.hint or "restore the file as its runner wrote it, or run the pipeline again"
            return f"{reference.text}: status unknown, the file {error.message}", hint
        if not status or status.casefold() in SUCCEEDED:
            return None
        hint = "link a run that succeeded, or say in the text that this one did not"
        return f"{reference.text} is a run whose status is {status}", hint
