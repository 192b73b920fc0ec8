"""Who signed the runs of this work tree, and whether that holds: what `evidence verify` says about signatures."""

from __future__ import annotations

import os

from orchgate.attest import bundle
from orchgate.attest.signatures import MAX_SIGNERS_BYTES, Signature, SignatureState, Signers, Verifier
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib import files
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Location, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.attest.statement import Subject
    from orchgate.commands.evidence.workspace import EvidenceWorkspace
    from orchgate.evidence.lock import Lock
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.locate import ManifestPlace


class KnownSigners(NamedTuple):
    """Who may sign, where that is written (`whose`, for people), and the tree in which signatures are old already.

    `signers` is None where nobody has said who may.
    """

    signers: Signers | None
    whose: str
    base: Snapshot
    commit: str | None = None


class SignedRun(NamedTuple):
    task: str
    run_id: str
    path: str
    signatures: tuple[Signature, ...]


class CheckedSignatures(NamedTuple):
    """What became of the signatures; `unsigned` are pinned runs without any, `unknown` what could not be checked."""

    whose: str = ""
    commit: str | None = None
    runs: tuple[SignedRun, ...] = ()
    unsigned: tuple[str, ...] = ()
    unknown: tuple[Trouble, ...] = ()

    @property
    def wrong(self) -> list[tuple[SignedRun, Signature]]:
        return [(run, one) for run in self.runs for one in run.signatures if not one.is_valid]


def check(place: EvidenceWorkspace, repository: Repository, file: str) -> CheckedSignatures:
    """Verifies all signatures of the work tree, by the base's list of signers or by that of a file.

    Raises UsageError for a file that cannot be read.
    """
    paths = list(bundle.on_disk(place.root))
    unsigned = tuple(_pinned_runs(place, {bundle.run_of(path) for path in paths}))
    if not paths:
        return CheckedSignatures(unsigned=unsigned)
    known = _of_file(file, repository) if file else _of_base(repository)
    runs: list[SignedRun] = []
    unknown: list[Trouble] = []
    with Verifier(known.signers or Signers(b"")) as verifier:
        for path in paths:
            try:
                run = _checked(place, known, verifier, path)
            except OrchgateError as error:
                unknown.append(Trouble(Location(path), error.message, error.hint))
            else:
                runs.append(run)
    if known.signers is None and runs:
        runs, unknown = _without_signers(runs), [*unknown, _no_signers(place.root, known)]
        known = known._replace(whose="")
    return CheckedSignatures(known.whose, known.commit, tuple(runs), unsigned, tuple(unknown))


def _pinned_runs(place: EvidenceWorkspace, signed: set[tuple[str, str] | None]) -> Iterator[str]:
    from orchgate.runs.locate import place_of

    for pin in place.lock.pins.values():
        where = place_of(pin.path, place.artifacts.roots) if pin.run else None
        if where and (where.task, where.run_id) not in signed:
            yield pin.path


def _of_file(file: str, repository: Repository) -> KnownSigners:
    try:
        allowed = files.read(file, MAX_SIGNERS_BYTES)
    except OSError as error:
        raise UsageError(f"--allowed-signers: {file} cannot be read: {error.strerror or error}") from error
    revoked = bundle.read(repository.root, bundle.REVOKED_KEYS)
    return KnownSigners(Signers(allowed, (revoked,)), file, repository.nothing)


def _of_base(repository: Repository) -> KnownSigners:
    """The signers that the commit knows where this change left the default branch; revoked are those of both."""
    from orchgate.config.branches import started

    try:
        commit = started(repository, os.environ)
    except OrchgateError:
        commit = None
    commit = commit or repository.head
    base = repository.tree(commit) if commit else repository.nothing
    allowed = base.find(bundle.ALLOWED_SIGNERS, MAX_SIGNERS_BYTES)
    revoked = (base.find(bundle.REVOKED_KEYS, MAX_SIGNERS_BYTES), bundle.read(repository.root, bundle.REVOKED_KEYS))
    signers = None if allowed is None else Signers(allowed, tuple(one for one in dict.fromkeys(revoked) if one))
    whose = f"{bundle.ALLOWED_SIGNERS} of {commit[:10] if commit else 'no commit'}"
    return KnownSigners(signers, whose, base, commit)


def _checked(place: EvidenceWorkspace, known: KnownSigners, verifier: Verifier, path: str) -> SignedRun:
    """Raises OrchgateError where nobody can tell."""
    named = bundle.run_of(path)
    if named is None:
        raise OrchgateError("is not a file of signatures: <task>/<run-id>.intoto.jsonl", f"git rm {path}")
    data, before = bundle.read(place.root, path), known.base.find(path) or b""
    return SignedRun(*named, path, verifier.verify(data, _subject(place, *named), before=before))


def _subject(place: EvidenceWorkspace, task: str, run_id: str) -> Subject:
    """What the run is: as it is pinned, else as it is here. Raises OrchgateError."""
    from orchgate.runs import ids
    from orchgate.runs.locate import place_of

    paths = [f"{root}/{task}/cli/{run_id}/{ids.MANIFEST}" for root in place.artifacts.roots]
    for path in paths:
        if subject := _pinned(place.lock, path, place_of(path, place.artifacts.roots)):
            return subject
    path = next((path for path in paths if place.artifacts.on_disk(path)), "")
    if not path:
        hint = f"orchgate evidence pin where it ran, or git rm {bundle.FOLDER}/{task}/{run_id}*"
        raise OrchgateError("signs a run that is neither pinned nor here", hint)
    return bundle.recorded(place.root, path, place.artifacts.roots, place.config.manifests.max_bytes).subject


def _pinned(lock: Lock, path: str, place: ManifestPlace | None) -> Subject | None:
    """What a run is, as its pins have it; None for one that is not pinned. Raises OrchgateError."""
    from orchgate.runs.locate import OURS, journal_of
    from orchgate.signers.requirement import pinned_subject

    pin = lock.get(path)
    if pin is None or pin.run is None:
        return None
    journal = lock.get(journal_of(path)) if pin.run.format == OURS else None
    if pin.run.format == OURS and journal is None:
        raise OrchgateError("signs a run whose journal is not pinned", f"orchgate evidence pin {quoted(path)}")
    return pinned_subject(pin.run, place, pin.sha256, journal.sha256 if journal else None)


def _without_signers(runs: list[SignedRun]) -> list[SignedRun]:
    """Runs without the signatures of which only a list of signers could say something."""
    state = SignatureState.UNKNOWN_KEY
    return [run._replace(signatures=tuple(one for one in run.signatures if one.state is not state)) for run in runs]


def _no_signers(root: str, known: KnownSigners) -> Trouble:
    where = f"the base, {known.commit[:10]}" if known.commit else "any commit"
    hint = "write who may sign into it, and commit it; `orchgate evidence sign` prints the line of a key"
    if os.path.exists(os.path.join(root, bundle.ALLOWED_SIGNERS)):
        hint = f"orchgate evidence verify --allowed-signers {bundle.ALLOWED_SIGNERS}"
    return Trouble(Location(bundle.ALLOWED_SIGNERS), f"is not in {where}: whose keys these are is not known", hint)


def lines(found: CheckedSignatures) -> Iterator[str]:
    """What became of the signatures, for people."""
    for run in found.runs:
        if valid := {one.principal for one in run.signatures if one.is_valid}:
            yield f"signed: {run.run_id} by {', '.join(sorted(valid))}"
    for run, one in found.wrong:
        key = f" of {one.key}" if one.key else ""
        yield f"not valid: {run.path}:{one.line or 1}"
        yield f"  {one.state.value.replace('_', ' ')}: the signature{key} {one.why}"
    for trouble in found.unknown:
        yield f"cannot be verified: {trouble.location.path} {trouble.message}"
        if trouble.hint:
            yield f"  hint: {trouble.hint}"
    if found.runs or found.unknown:
        yield _summary(found)
    if found.unsigned:
        runs = counted(len(found.unsigned), "pinned run without a signature", "pinned runs without a signature")
        yield f"{runs}: whoever writes a change can write a run and its pin, too"


def _summary(found: CheckedSignatures) -> str:
    valid = sum(any(one.is_valid for one in run.signatures) for run in found.runs)
    counts = ((len(found.wrong), "not valid"), (len(found.unknown), "not verified"))
    others = "".join(f", {count} {words}" for count, words in counts if count)
    by = f" (by {found.whose})" if found.whose else ""
    return f"{counted(valid, 'run')} with valid signatures{others}{by}"


def facts(found: CheckedSignatures) -> dict[str, object]:
    """What became of the signatures, for programs."""
    return {
        "signers": found.whose or None,
        "signers_commit": found.commit,
        "unsigned_run_count": len(found.unsigned),
        "signed_runs": [
            {
                "run_id": run.run_id,
                "task_id": run.task,
                "path": run.path,
                "signatures": [_signature_json(one) for one in run.signatures],
            }
            for run in found.runs
        ],
    }


def _signature_json(one: Signature) -> dict[str, object]:
    return {
        "state": one.state.value,
        "principals": list(one.principals),
        "key": one.key or None,
        "message": f"the signature {one.why}" if one.why else None,
        "line": one.line or None,
    }
