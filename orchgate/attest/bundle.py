"""Signatures of runs as they lie in a repository, a file a run: `.orchgate/signatures/<task>/<run-id>.intoto.jsonl`.

Several people may sign one run on different branches: each adds a line, and git takes all of them.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.attest import envelope, ssh, statement
from orchgate.attest.envelope import DamagedLine
from orchgate.errors import OrchgateError, Unreadable
from orchgate.git import worktree
from orchgate.git.snapshot import WorkTree
from orchgate.lib import files, locks
from orchgate.lib.paths import require_real
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import decode, inspection, journal, locate
from orchgate.runs.run import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.attest.ssh import Blob, Checker
    from orchgate.attest.statement import Subject
    from orchgate.runs.locate import ManifestPlace

FOLDER = ".orchgate/signatures"
ALLOWED_SIGNERS = ".orchgate/allowed_signers"
REVOKED_KEYS = ".orchgate/revoked_keys"
SUFFIX = ".intoto.jsonl"
ATTRIBUTES = "signatures/**/*.intoto.jsonl text eol=lf merge=union"


def path_of(place: ManifestPlace) -> str:
    """Where the signatures of a run are, as a repository path."""
    return f"{FOLDER}/{place.task}/{place.run_id}{SUFFIX}"


def run_of(path: str) -> tuple[str, str] | None:
    """Task and run id of a file of signatures; None for every other path."""
    inner = path.removeprefix(FOLDER + "/")
    task, _, name = inner.partition("/")
    run_id = name.removesuffix(SUFFIX)
    if inner == path or not name.endswith(SUFFIX) or not locate.RUN_ID.fullmatch(run_id):
        return None
    return task, run_id


class SignableRun(NamedTuple):
    """A run that can be signed: where its manifest is, and the statement about it."""

    path: str
    place: ManifestPlace
    subject: Subject
    pipeline: str
    result: str
    statement: bytes

    @property
    def bundle(self) -> str:
        return path_of(self.place)


def recorded(root: str, path: str, roots: tuple[str, ...], limit: int) -> SignableRun:
    """The run of a manifest. Raises OrchgateError for one that nobody may sign; its message continues "the run …"."""
    place = locate.place_of(path, roots)
    if place is None:
        raise OrchgateError(
            f"is not below {', '.join(roots)}, where runs are recorded", "sign it where it was recorded"
        )
    require_real(root, path)
    full = os.path.join(root, path)
    content = locate.read_file(full, limit)
    document = decode.parse(content, limit)
    data = journal.beside(full)
    journal.require(document, lambda: data)
    run = checked(document, path)
    if not run.finished:
        raise OrchgateError(f"is {run.status}", f"`orchgate resume {run.run_id}`, or wait for its end")
    if (run.task_id, run.run_id) != (place.task, place.run_id):
        raise OrchgateError("is in the folder of another run", "move it back to where it was recorded")
    if problem := next(inspection.contradictions(run), None):
        raise OrchgateError(f"contradicts itself: {journal.sentence(problem)}", "orchgate check manifests")
    signed = data if locate.is_derived(document) else None
    subject = statement.subject_of(run, content, signed)
    payload = statement.render(path, content, signed, document)
    return SignableRun(path, place, subject, run.pipeline_id, statement.result_of(run), payload)


def read(root: str, path: str) -> bytes:
    """The bytes of a file of ours in the work tree, b"" where there is none. Raises OrchgateError, Unreadable."""
    require_real(root, path)
    return WorkTree(root).find(path, envelope.MAX_BYTES) or b""


def on_disk(root: str) -> Iterator[str]:
    """The repository paths of all files below the folder of signatures. Raises OrchgateError, Unreadable."""

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise Unreadable(FOLDER, f"cannot be listed: {error.strerror}", f"ls -l {FOLDER}") from error

    require_real(root, FOLDER)
    for folder, folders, names in os.walk(os.path.join(root, FOLDER), onerror=failed):
        folders.sort()
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in sorted(names))


def is_signed_by(run: SignableRun, data: bytes, key: str, checker: Checker) -> bool:
    """Whether a bundle has a signature of a run by the key of that fingerprint."""
    for payload, blob, subject in _signatures(data):
        if blob.fingerprint == key and subject == run.subject and checker.holds(blob, envelope.encoded(payload)):
            return True
    return False


def add(root: str, run: SignableRun, blob: bytes) -> bool:
    """Adds a signature to those of a run; older ones by the same key, of what the run was before, go.

    Says whether that changed anything. Raises Busy, NoLocks, WriteError, OrchgateError.
    """
    path, made = run.bundle, ssh.blob_of(blob)
    new = envelope.line_of(run.statement, made.fingerprint, blob)
    require_real(root, path)
    with locks.held(root, locks.RECORDS, "orchgate evidence sign"):
        before = read(root, path)
        lines = (line for _, line in envelope.lines(before) if not line.startswith(envelope.MARKS))  # both sides
        kept = [line for line in lines if not _is_stale(line, run, made.fingerprint)]
        after = envelope.joined([*kept, new])
        if after == before:
            return False
        if len(after) > envelope.MAX_BYTES or len(kept) >= envelope.MOST:
            raise OrchgateError(f"{path} has no room for another signature", "remove lines that no longer count")
        files.make_folders(os.path.dirname(os.path.join(root, path)))
        worktree.add_attribute(os.path.join(root, os.path.dirname(FOLDER)), ATTRIBUTES)
        files.replace(os.path.join(root, path), after)
    return True


def _is_stale(line: bytes, run: SignableRun, key: str) -> bool:
    """Whether a line is a signature by a key of another state of the run."""
    found = [(blob.fingerprint, subject == run.subject) for _, blob, subject in _signatures(line)]
    return bool(found) and all(one == (key, False) for one in found)


def _signatures(data: bytes) -> Iterator[tuple[bytes, Blob, Subject]]:
    """Payload, signature and what it is about, of all that can be read; nobody has verified them."""
    for found in envelope.parse(data):
        if isinstance(found, DamagedLine):
            continue
        content = found[1]
        with contextlib.suppress(ValueError):
            subject = statement.read(content.payload).subject
            yield from [(content.payload, ssh.blob_of(one), subject) for one in content.signatures]
