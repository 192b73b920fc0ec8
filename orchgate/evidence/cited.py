"""How a cited run ended, read from its manifest or summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError, quoted
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from orchgate.evidence.lock import Facts, Lock
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts

SUCCEEDED = frozenset({"succeeded", "success", "passed", "completed", "complete", "ok", "done"})
# Words of a sentence that knowingly cites a run that did not succeed.
FAILURE = lazy(
    r"\b(?:fail|abort|cancel|crash|kill|interrupt|time(?:d )?-?out|unsuccessful|non-?zero|broken|block|reject|"
    r"in[- ]progress|(?:still |is )running|abandon|inconclusive|negative|red\b|exit(?:ed)? (?:code )?[1-9])",
    re.IGNORECASE,
)
# In a manifest written with two blanks of indent, this can only be a key of the outermost object.
_TOP_STATUS = lazy(rb'\n  "status": ?"([^"\\\n]{1,64})"')


class Runs:
    """Manifests cited by documents, each read once. What is pinned is answered from its pin, on disk or not."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts, max_bytes: int, lock: Lock | None = None) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._max_bytes = max_bytes
        self._lock = lock
        self._status: dict[str, str] = {}
        self._facts: dict[str, Facts] = {}

    def status(self, path: str) -> str:
        """The status at the top of a manifest, "" when it has none. Raises OrchgateError when it cannot be read."""
        if path not in self._status:
            self._status[path] = self._read_status(path)
        return self._status[path]

    def _read_status(self, path: str) -> str:
        pinned = self._pinned(path)
        if pinned is not None:
            return pinned.status
        data = self._bytes(path)
        # What is ours has a journal to be held against.
        foreign = b"orchgate" not in data and b"\\u00" not in data and not self._has_journal(path)
        match = _TOP_STATUS.search(data) if foreign and data.startswith((b'{\n  "', b'{\r\n  "')) else None
        if match:
            return match[1].decode("utf-8", "replace")
        return str(self._parsed(path, data).get("status") or "")

    def facts(self, path: str) -> Facts:
        """What a manifest claims. Raises OrchgateError when it cannot be read or is no JSON object."""
        from orchgate.evidence.facts import facts_of
        from orchgate.runs.run import from_manifest

        if path not in self._facts:
            self._facts[path] = self._pinned(path) or facts_of(from_manifest(self._parsed(path, self._bytes(path))))
        return self._facts[path]

    def _pinned(self, path: str) -> Facts | None:
        """The pinned facts; None for what is not pinned, or is in the tree itself. Raises OrchgateError without any."""
        pin = self._lock.get(path) if self._lock else None
        if pin is None or path in self._snapshot.entries:
            return None
        if pin.run is None:
            raise OrchgateError("is pinned without the facts of its run", f"orchgate evidence pin {quoted(path)}")
        return pin.run

    def _parsed(self, path: str, data: bytes) -> dict[str, object]:
        from orchgate.runs import derivation
        from orchgate.runs.decode import parse

        document = parse(data, self._max_bytes)
        derivation.require(document, lambda: self._journal(path))
        return document

    def _has_journal(self, path: str) -> bool:
        from orchgate.runs.locate import journal_of

        entries, beside = self._snapshot.entries, journal_of(path)
        return beside in entries if path in entries else self._artifacts.on_disk(beside)

    def _journal(self, path: str) -> bytes | None:
        """The journal of a manifest, from where the manifest is: the judged tree, or the disk."""
        from orchgate.runs import derivation
        from orchgate.runs.locate import journal_of

        if path in self._snapshot.entries:
            return self._snapshot.find(journal_of(path), derivation.MAX_BYTES)
        there = self._artifacts.on_disk(journal_of(path))
        return derivation.beside(self._artifacts.full(path)) if there else None

    def _bytes(self, path: str) -> bytes:
        if path in self._snapshot.entries:
            return self._snapshot.read(path, self._max_bytes)
        from orchgate.runs.locate import read_file

        return read_file(self._artifacts.full(path), self._max_bytes)
