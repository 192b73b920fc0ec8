"""What `evidence sign` and `evidence pin --sign` share: signing runs, and saying what came of it."""

from __future__ import annotations

import os
import sys

from orchgate.attest import bundle, envelope, keys, ssh
from orchgate.errors import OrchgateError, quoted
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import problem_of
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.attest.bundle import SignableRun
    from orchgate.commands.evidence.workspace import PinSource
    from orchgate.evidence.lock import Lock
    from orchgate.git.repository import Repository

KEY_HELP = "the SSH key that signs: a private key, or a public one that ssh-agent holds (the one git signs with)"


class SigningResult(NamedTuple):
    run: SignableRun
    is_new: bool


class Refusal(NamedTuple):
    """A run that was not signed, by its manifest, and why: the error's message continues "the run …"."""

    path: str
    error: OrchgateError


class Signing(NamedTuple):
    """What came of signing some runs: by the key of a fingerprint, and what else is to be said."""

    key: str
    runs: tuple[SigningResult, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def new_count(self) -> int:
        return sum(one.is_new for one in self.runs)

    @property
    def verdict(self) -> Verdict:
        return Verdict.FAIL if self.refused else Verdict.PASS


def option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", default="", metavar="FILE", help=KEY_HELP)


def sign(place: PinSource, repository: Repository, lock: Lock, paths: Iterable[str], key: str) -> Signing:
    """Signs the runs of some manifests. Raises UsageError where no key is named, CannotSign, OrchgateError."""
    runs: dict[str, SignableRun] = {}
    refused: list[Refusal] = []
    for path in dict.fromkeys(paths):
        try:
            runs[path] = _signable(place, lock, path)
        except OrchgateError as error:
            refused.append(Refusal(path, error))
    named = keys.named(key, repository.git)
    if not runs:
        return Signing("", refused=tuple(refused))
    with keys.Signer(named, os.environ) as signer, ssh.Checker((), os.environ) as checker:
        known = {path for path, run in runs.items() if _is_signed(place.root, run, signer.fingerprint, checker)}
        new = [run for path, run in runs.items() if path not in known]
        if new and signer.needs_touch and sys.stderr.isatty():
            sys.stderr.write(f"orchgate: touch the security key, once for each of {counted(len(new), 'run')}\n")
        blobs = signer.sign([envelope.encoded(run.statement) for run in new])
        added = {run.path for run, blob in zip(new, blobs, strict=True) if _add(place.root, run, blob, checker)}
        made = blobs[0].fingerprint if blobs else signer.fingerprint
        public = blobs[0].key if blobs else signer.public
    signed = tuple(SigningResult(run, path in added) for path, run in runs.items())
    return Signing(made, signed, tuple(refused), tuple(_notes(place, repository, lock, runs, public)))


def _signable(place: PinSource, lock: Lock, path: str) -> SignableRun:
    if not os.path.lexists(os.path.join(place.root, path)):
        raise OrchgateError("is not here", "orchgate evidence fetch")
    run = bundle.recorded(place.root, path, tuple(place.config.evidence.roots), place.config.manifests.max_bytes)
    pin = lock.get(path)
    if pin is not None and pin.sha256 != run.subject.manifest:
        raise OrchgateError("is not what is pinned", f"orchgate evidence pin {quoted(path)}")
    return run


def _is_signed(root: str, run: SignableRun, key: str, checker: ssh.Checker) -> bool:
    return bool(key) and bundle.is_signed_by(run, bundle.read(root, run.bundle), key, checker)


def _add(root: str, run: SignableRun, blob: ssh.Blob, checker: ssh.Checker) -> bool:
    """Adds a signature, unless its key, of which nothing was known before, has signed the run already."""
    return not _is_signed(root, run, blob.fingerprint, checker) and bundle.add(root, run, blob.data)


def _notes(
    place: PinSource, repository: Repository, lock: Lock, runs: Mapping[str, SignableRun], public: bytes
) -> Iterator[str]:
    if unpinned := [path for path in runs if lock.get(path) is None]:
        words = counted(len(unpinned), "of these runs is", "of these runs are")
        yield f"{words} not pinned: link the manifest in a document, then `orchgate evidence pin`"
    try:
        known = map(ssh.key_in, bundle.read(place.root, bundle.ALLOWED_SIGNERS).splitlines())
        if public in known or b"-cert-" in public[:64]:
            return
    except OrchgateError as error:
        yield f"{bundle.ALLOWED_SIGNERS} {error.message}"
        return
    who = os.fsdecode(repository.git.attempt("config", "--get", "user.email").stdout).strip() or "you@example.org"
    line = f'{who} namespaces="{ssh.NAMESPACE}" {ssh.public_text(public)}'
    yield f"nobody in {bundle.ALLOWED_SIGNERS} has this key yet; to add it:"
    yield f"echo {quoted(line)} >> {bundle.ALLOWED_SIGNERS}"


def lines(done: Signing) -> Iterator[str]:
    """What came of it, for people."""
    for refusal in done.refused:
        yield f"not signed: {refusal.path} {refusal.error.message}"
        if refusal.error.hint:
            yield f"  hint: {refusal.error.hint}"
    for one in done.runs:
        state = "signed" if one.is_new else "signed before"
        yield f"{state}: {one.run.place.run_id} ({one.run.pipeline} {one.run.result})"
    add = f"; git add {os.path.dirname(bundle.FOLDER)}" if done.new_count else ", nothing new"
    yield f"{bundle.FOLDER}: {counted(len(done.runs), 'run')} signed{add if done.runs else ''}"
    if done.key:
        yield f"  key: {done.key}"
    yield from (f"  {note}" for note in done.notes)


def write(done: Signing) -> None:
    sys.stdout.writelines(escape(line) + "\n" for line in lines(done))


def facts(done: Signing) -> dict[str, object]:
    """What came of it, for programs."""
    return {
        "key": done.key or None,
        "runs": [_run_json(one) for one in done.runs],
        "new_count": done.new_count,
        "notes": list(done.notes),
        "problems": [problem_of(_about(one)) for one in done.refused],
    }


def _about(refusal: Refusal) -> OrchgateError:
    from orchgate.errors import Unreadable

    return Unreadable(refusal.path, refusal.error.message, refusal.error.hint)


def _run_json(one: SigningResult) -> dict[str, object]:
    run = one.run
    return {
        "run_id": run.place.run_id,
        "task_id": run.place.task,
        "pipeline_id": run.pipeline,
        "result": run.result,
        "manifest_path": run.path,
        "signatures_path": run.bundle,
        "is_new": one.is_new,
    }


def manifests(paths: Sequence[str], roots: Sequence[str]) -> list[str]:
    """Those of some paths that are manifests of runs."""
    from orchgate.runs.locate import place_of

    return [path for path in paths if place_of(path, tuple(roots))]
