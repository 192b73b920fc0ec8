"""Who signed a run, and whether that holds: each signature of a bundle, held against a run and a list of signers.

A signature is VALID only where `ssh-keygen` says so of the statement in the envelope, and that statement is about this
run. Everything else has a name of its own.
"""

from __future__ import annotations

import os
import time
from datetime import UTC

from orchgate.attest import envelope, ssh, statement
from orchgate.attest.envelope import DamagedLine
from orchgate.attest.ssh import NAMESPACE, Checker, SignerMatch
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from typing import Literal, Self

    from orchgate.attest.ssh import Blob
    from orchgate.attest.statement import Subject

    Moment = datetime | Literal["run_end"] | None

RUN_END: Literal["run_end"] = "run_end"  # the moment at which the run ended, as its statement says
MAX_SIGNERS_BYTES = 1024 * 1024
_CANDIDATES = 20  # lines of a list of signers that may be about one key


# Of a subject, what is compared where it is known, and what it is called.
_IF_KNOWN = {
    "passed": "result",
    "pipeline": "pipeline",
    "changed": "set of uncommitted changes",
    "untracked": "set of untracked files",
    "dirty": "state of the work tree",
    "run": "run",
    "accepts": "item of a checklist",
}


class SignatureState(Enum):
    VALID = "valid"
    EXPIRED = "expired"  # or not valid yet
    REVOKED = "revoked"
    UNKNOWN_KEY = "unknown_key"
    WRONG_NAMESPACE = "wrong_namespace"
    MALFORMED = "malformed"
    OTHER_SUBJECT = "other_subject"
    BAD = "bad"  # not what the key signed


class Signature(NamedTuple):
    """One signature. `principals` are the names that the list of signers gives the key, of valid ones only; `key` is
    its fingerprint, "" where none can be read; `why` continues "the signature …", and is "" for a valid one.
    """

    state: SignatureState
    principals: tuple[str, ...] = ()
    key: str = ""
    why: str = ""
    line: int = 0

    @property
    def principal(self) -> str:
        return ", ".join(self.principals)

    @property
    def is_valid(self) -> bool:
        return self.state is SignatureState.VALID


class Signers(NamedTuple):
    """Who may sign: a list of OpenSSH's `allowed_signers`, and lists of revoked keys, all of which count.

    A list of revoked keys is one of public keys, one a line, or what `ssh-keygen -k` makes.
    """

    allowed: bytes
    revoked: tuple[bytes, ...] = ()


class Verifier:
    """Verifies bundles against one list of signers, within a block.

    `verify` raises CannotVerify (exit code 3) where `ssh-keygen` is missing or too old, or a list cannot be read.
    """

    def __init__(self, signers: Signers) -> None:
        self._lines = [line.strip(b" \t\r") for line in signers.allowed.split(b"\n")]
        self._checker = Checker([one for one in signers.revoked if one.strip()], os.environ)
        self._checked = False

    def __enter__(self) -> Self:
        self._checker.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._checker.__exit__()

    def verify(self, data: bytes, subject: Subject, *, at: Moment = None, before: bytes = b"") -> tuple[Signature, ...]:
        """The signatures of a bundle, each once. `at`: when signers have to be valid; None for now.

        Those of the bundle that was there `before` have been judged when they came: their signers have to be valid at
        the end of the run, so that time alone takes nothing back. Raises CannotVerify, OrchgateError.
        """
        if not self._checked:
            self._checker.check_lists()
            self._checked = True
        known = {line for _, line in envelope.lines(before)}
        return tuple(dict.fromkeys(self._all(data, subject, at, known)))

    def _all(self, data: bytes, subject: Subject, at: Moment, known: Collection[bytes]) -> Iterator[Signature]:
        for found in envelope.parse(data):
            if isinstance(found, DamagedLine):
                yield Signature(SignatureState.MALFORMED, why=found.why, line=found.line)
                continue
            line, content = found
            moment = RUN_END if content.text in known else at
            for raw in content.signatures:
                yield self._one(raw, content.payload, subject, moment)._replace(line=line)

    def _one(self, raw: bytes, payload: bytes, subject: Subject, at: Moment) -> Signature:
        try:
            blob = ssh.blob_of(raw)
            claim = statement.read(payload)
        except ValueError as error:
            return Signature(SignatureState.MALFORMED, why=str(error))
        if blob.namespace != NAMESPACE:
            why = f"was made for {clip(repr(blob.namespace), 80)}, not for {NAMESPACE!r}"
            return Signature(SignatureState.WRONG_NAMESPACE, (), blob.fingerprint, why)
        if other := difference(claim.subject, subject):
            return Signature(SignatureState.OTHER_SUBJECT, (), blob.fingerprint, f"is of another {other}")
        moment = claim.ended_at if at == RUN_END else at
        return self._judged(blob, envelope.encoded(payload), moment)

    def _judged(self, blob: Blob, message: bytes, moment: datetime | None) -> Signature:
        """A signature that says what it should; by whom, and does it hold?"""
        answers = [self._checker.answer(blob, message, line, _written(moment)) for line in self._about(blob)]
        if names := tuple(dict.fromkeys(name for one in answers for name in one.names)):
            return Signature(SignatureState.VALID, names, blob.fingerprint)
        if not self._checker.holds(blob, message):
            return Signature(SignatureState.BAD, (), blob.fingerprint, "does not match what it is said to sign")
        if answers and _is_out_of_date(blob, moment):
            answers.append(SignerMatch(expired=True))
        state, why = _refused(answers, moment)
        return Signature(state, (), blob.fingerprint, why)

    def _about(self, blob: Blob) -> list[bytes]:
        """The lines of the list of signers that may be about a key, or about who certified it."""
        lines = (line for line in self._lines if line and not line.startswith(b"#") and b"\0" not in line)
        found = ((line, ssh.key_in(line)) for line in lines)
        return [line for line, key in found if key and key in blob.key][:_CANDIDATES]


def _is_out_of_date(blob: Blob, moment: datetime | None) -> bool:
    """Whether a signature is by a certificate that is not valid then: ssh-keygen says only that it has no names."""
    certificate = ssh.certificate_of(blob.key)
    seconds = moment.timestamp() if moment else time.time()
    return certificate is not None and not certificate.valid_after <= seconds < certificate.valid_before


def _refused(answers: list[SignerMatch], moment: datetime | None) -> tuple[SignatureState, str]:
    """Why no signer's line lets a signature hold that is one of its key."""
    if any(one.revoked for one in answers):
        return SignatureState.REVOKED, "is of a key that was revoked"
    if any(one.elsewhere for one in answers):
        return SignatureState.WRONG_NAMESPACE, f"is of a key that may not sign for {NAMESPACE!r}"
    if any(one.expired for one in answers):
        when = f"at {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "now"
        return SignatureState.EXPIRED, f"is of a key that is not valid {when}"
    return SignatureState.UNKNOWN_KEY, "is of a key that no signer has"


def _written(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S") if moment else ""


def difference(signed: Subject, subject: Subject) -> str:
    """The first thing in which what was signed is not what it should be about; "" for none."""
    for name, here in subject._asdict().items():
        if getattr(signed, name) != here and not (name in _IF_KNOWN and here is None):
            return _IF_KNOWN.get(name, name)
    return ""


def verify(
    data: bytes, subject: Subject, signers: Signers, *, at: Moment = None, before: bytes = b""
) -> tuple[Signature, ...]:
    """As `Verifier.verify`, of one bundle."""
    with Verifier(signers) as verifier:
        return verifier.verify(data, subject, at=at, before=before)
