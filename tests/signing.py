"""Keys, lists of signers and signatures, made by the real ssh-keygen."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.attest import envelope, ssh, statement
from orchgate.attest.statement import Subject

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = Subject("a" * 64, "b" * 64, "c" * 40, "d" * 40, passed=True)


def keygen(*args: str, stdin: bytes = b"") -> bytes:
    completed = subprocess.run(["ssh-keygen", *args], input=stdin, capture_output=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


class Key(NamedTuple):
    """A key pair in a folder."""

    path: Path

    @property
    def public(self) -> str:
        return " ".join(self.path.with_name(self.path.name + ".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        return keygen("-l", "-f", f"{self.path}.pub").split()[1].decode()

    def signer(self, principals: str, options: str = "") -> str:
        """A line of a list of signers."""
        return " ".join(filter(None, (principals, options, self.public))) + "\n"

    def sign(self, message: bytes, namespace: str = ssh.NAMESPACE) -> bytes:
        return ssh.unarmored(keygen("-q", "-Y", "sign", "-f", str(self.path), "-n", namespace, stdin=message))

    def line(self, payload: bytes, namespace: str = ssh.NAMESPACE) -> bytes:
        """A line of a bundle."""
        return envelope.line_of(payload, "", self.sign(envelope.encoded(payload), namespace)) + b"\n"


def make(folder: Path, name: str = "key", *, kind: str = "ed25519", passphrase: str = "") -> Key:
    keygen("-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(folder / name))
    return Key(folder / name)


def stated(subject: Subject = SUBJECT, /, **changes: Any) -> bytes:
    """A statement about a run that ended in 2026."""
    ended = {"completed_at": "2026-03-01T12:00:00.000Z"}
    subjects: list[dict[str, Any]] = [
        {"name": ".runs/t/cli/r/manifest.json", "digest": {"sha256": subject.manifest}, "annotations": ended}
    ]
    if subject.journal:
        subjects.append({"name": ".runs/t/cli/r/events.jsonl", "digest": {"sha256": subject.journal}})
    for name, algorithm in (("tree", "gitTree"), ("commit", "gitCommit")):
        if digest := getattr(subject, name):
            subjects.append({"name": name, "digest": {algorithm: digest}})
    predicate = {"result": statement.PASSED if subject.passed else statement.FAILED, "configuration": []}
    whole = {"_type": statement.TYPE, "predicateType": statement.PREDICATE, "subject": subjects, "predicate": predicate}
    return json.dumps(whole | changes).encode()
