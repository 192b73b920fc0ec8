"""Signatures of runs: what ssh-keygen makes of them, and what they are called where they do not hold."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.attest import envelope, signatures, ssh
from orchgate.attest.signatures import RUN_END, Signature, SignatureState, Signers
from orchgate.attest.statement import Subject
from orchgate.lib.files import WriteError
from tests import signing
from tests.signing import SUBJECT, Key, stated

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.attest.signatures import Moment

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("some keys")
    return {name: signing.make(folder, name) for name in ("ann", "ben")}


@pytest.fixture(scope="module")
def line(keys: dict[str, Key]) -> bytes:
    """A bundle of one signature by Ann."""
    return keys["ann"].line(stated())


def verified(
    data: bytes, allowed: str, *revoked: bytes, at: Moment = None, subject: Subject = SUBJECT
) -> tuple[Signature, ...]:
    return signatures.verify(data, subject, Signers(allowed.encode(), revoked), at=at)


def states(*args: object, **named: object) -> list[SignatureState]:
    return [one.state for one in verified(*args, **named)]  # type: ignore[arg-type]


# Who signed


def test_a_signature_holds_and_says_whose_it_is(keys: dict[str, Key], line: bytes) -> None:
    found = verified(line, keys["ben"].signer("ben@x") + keys["ann"].signer("ann@x"))

    assert found == (Signature(SignatureState.VALID, ("ann@x",), keys["ann"].fingerprint, "", 1),)


def test_two_people_sign_one_run(keys: dict[str, Key], line: bytes) -> None:
    both = line + keys["ben"].line(stated())

    found = verified(both, keys["ben"].signer("ben@x") + keys["ann"].signer("ann@x"))

    assert [one.principal for one in found] == ["ann@x", "ben@x"]


def test_what_a_merge_has_twice_counts_once(keys: dict[str, Key], line: bytes) -> None:
    assert states(line + b"\n" + line, keys["ann"].signer("ann@x")) == [SignatureState.VALID]


def test_nothing_is_signed_by_an_empty_bundle(keys: dict[str, Key]) -> None:
    assert states(b"\n \n", keys["ann"].signer("ann@x")) == []


def test_a_key_may_have_several_names_and_lines(keys: dict[str, Key], line: bytes) -> None:
    allowed = keys["ann"].signer("ann@x,!eve@y,*@y", 'valid-before="20200101"') + keys["ann"].signer('"ann of z,a@z"')

    assert [one.principals for one in verified(line, allowed)] == [("ann of z", "a@z")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("principals", "names"),
    [
        ("*@x.org,!bob@x.org", ("*@x.org",)),
        ("-oops", ("-oops",)),
        ("$(touch${IFS}x)`id`;|", ("$(touch${IFS}x)`id`;|",)),
        ("ann\u202e@x", ("ann\u202e@x",)),
    ],
)
def test_odd_names_are_names(keys: dict[str, Key], line: bytes, principals: str, names: tuple[str, ...]) -> None:
    assert [one.principals for one in verified(line, keys["ann"].signer(principals))] == [names]


@pytest.mark.slow
def test_damaged_lines_of_a_list_of_signers_are_nobodys(keys: dict[str, Key], line: bytes) -> None:
    public = keys["ann"].public
    damaged = f'\n#ann@x {public}\n{public}\nann@x namespaces="orchgate {public}\nann@x cert-authority {public}\n'
    damaged += f"ann@x nonsense={'x' * 100_000} {public}\n\0ann@x {public}\nann@x {public[:-9]}\nann@x\n"

    assert states(line, damaged) == [SignatureState.UNKNOWN_KEY]
    assert states(line, damaged + f"ann@x {public}\r\n") == [SignatureState.VALID]


# Why it does not hold


def test_an_unknown_key_is_nobodys(keys: dict[str, Key], line: bytes) -> None:
    (found,) = verified(line, keys["ben"].signer("ben@x"))

    assert (found.state, found.principals, found.key) == (SignatureState.UNKNOWN_KEY, (), keys["ann"].fingerprint)


@pytest.mark.parametrize(
    ("options", "at", "state"),
    [
        ('valid-before="20260201"', None, SignatureState.EXPIRED),
        ('valid-before="20260201"', MARCH, SignatureState.EXPIRED),
        ('valid-before="20260201"', datetime(2026, 1, 1, tzinfo=UTC), SignatureState.VALID),
        ('valid-after="20991231"', None, SignatureState.EXPIRED),
        ('valid-before="20260302"', RUN_END, SignatureState.VALID),
        ('valid-before="20260301"', RUN_END, SignatureState.EXPIRED),
        ('namespaces="git,file"', None, SignatureState.WRONG_NAMESPACE),
        ('namespaces="git,orchgate-*"', None, SignatureState.VALID),
    ],
)
def test_a_signer_has_times_and_namespaces(
    keys: dict[str, Key], line: bytes, options: str, at: Moment, state: SignatureState
) -> None:
    assert states(line, keys["ann"].signer("ann@x", options), at=at) == [state]


@pytest.mark.slow
def test_times_without_a_zone_mean_the_same_everywhere(
    keys: dict[str, Key], line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")

    allowed = keys["ann"].signer("ann@x", 'valid-before="20260301115900"')

    assert states(line, allowed, at=datetime(2026, 3, 1, 11, 58, tzinfo=UTC)) == [SignatureState.VALID]
    assert states(line, allowed, at=datetime(2026, 3, 1, 11, 59, 1, tzinfo=UTC)) == [SignatureState.EXPIRED]


def revocations(keys: dict[str, Key], form: str, folder: Path) -> bytes:
    if form == "list":
        return f"# gone\n{keys['ann'].public} Ann's\n".encode()
    keygen = folder / "krl"
    signing.keygen("-q", "-k", "-f", str(keygen), f"{keys['ann'].path}.pub")
    return keygen.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "krl"])
def test_a_revoked_key_never_signed(keys: dict[str, Key], line: bytes, tmp_path: Path, form: str) -> None:
    revoked = revocations(keys, form, tmp_path)
    other = f"{keys['ben'].public}\n".encode()
    allowed = keys["ann"].signer("ann@x") + keys["ben"].signer("ben@x")

    for lists in ((revoked,), (other, revoked), (revoked, b"\n")):
        assert states(line, allowed, *lists, at=MARCH) == [SignatureState.REVOKED]
    assert states(line, allowed, other, b"\n") == [SignatureState.VALID]


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"garbage\n", b"SSHKRL\n\0\0\0\0\1xx", b"ssh-ed25519 AAAA\n"])
def test_a_list_of_revoked_keys_that_cannot_be_read_is_no_pass(
    keys: dict[str, Key], line: bytes, content: bytes
) -> None:
    with pytest.raises(ssh.CannotVerify, match="revoked keys"):
        verified(line, keys["ann"].signer("ann@x"), content)


def test_a_key_that_signed_something_else(keys: dict[str, Key]) -> None:
    data = keys["ann"].line(stated(), namespace="git")

    (found,) = verified(data, keys["ann"].signer("ann@x"))

    assert (found.state, found.why) == (
        SignatureState.WRONG_NAMESPACE,
        "was made for 'git', not for 'orchgate-evidence'",
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest", "journal", "tree", "commit"])
def test_a_signature_of_another_run(keys: dict[str, Key], line: bytes, name: str) -> None:
    for digest in ("e" * 64, None):
        other = Subject(**(SUBJECT._asdict() | {name: digest}))
        (found,) = verified(line, keys["ann"].signer("ann@x"), subject=other)

        assert (found.state, found.why) == (SignatureState.OTHER_SUBJECT, f"is of another {name}")


def test_a_signature_of_another_outcome(keys: dict[str, Key], line: bytes) -> None:
    failed = SUBJECT._replace(passed=False)

    assert states(line, keys["ann"].signer("ann@x"), subject=failed) == [SignatureState.OTHER_SUBJECT]
    assert states(line, keys["ann"].signer("ann@x"), subject=SUBJECT._replace(passed=None)) == [SignatureState.VALID]


@pytest.mark.slow
def test_a_payload_that_was_swapped(keys: dict[str, Key], line: bytes) -> None:
    """The statement is about this run; the signature is one of another statement."""
    other = keys["ann"].line(stated(SUBJECT._replace(manifest="f" * 64)))
    fields = json.loads(other) | {"payload": json.loads(line)["payload"]}

    assert states(json.dumps(fields).encode(), keys["ann"].signer("ann@x")) == [SignatureState.BAD]


def _envelope(line: bytes, **changes: object) -> bytes:
    return json.dumps(json.loads(line) | changes).encode()


def test_what_is_malformed_is_named(keys: dict[str, Key], line: bytes) -> None:
    blob = base64.b64decode(json.loads(line)["signatures"][0]["sig"])
    cases = {
        "is not JSON": b"{",
        "is not JSON: a key appears twice": line.strip()[:-1] + b',"payload":"e30="}',
        "is not a JSON object": b"[]",
        "is not UTF-8": b'{"\xff":1}',
        "holds the marks of a merge conflict": b"<<<<<<< ours",
        f"is longer than {envelope.MAX_LINE} bytes": b"x" * (envelope.MAX_LINE + 1),
        "is not JSON: nested too deeply": b'{"a":' * 5000,
        "payloadType: expected application/vnd.in-toto+json": _envelope(line, payloadType="text/plain"),
        "payload: is not base64": _envelope(line, payload="e30=!"),
        "payload: expected base64": _envelope(line, payload=7),
        "signatures: expected an array of at least one": _envelope(line, signatures=[]),
        "sig: expected base64": _envelope(line, signatures=[{"keyid": ""}]),
        "is not a signature of SSH": _envelope(line, signatures=[{"sig": "e30="}]),
    }
    for broken in (blob[:90], blob[:30], b"SSHSIG"):
        cases = {
            **cases,
            f"cut {len(broken)}": _envelope(line, signatures=[{"sig": base64.b64encode(broken).decode()}]),
        }
    for why, data in cases.items():
        (found,) = verified(data, keys["ann"].signer("ann@x"))

        assert found.state is SignatureState.MALFORMED, why
        assert why.startswith("cut ") or found.why.startswith(why)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{}", "is not a statement"),
        (stated(predicateType="https://slsa.dev/provenance/v1"), "is not a statement"),
        (stated(predicate={"result": "GREEN"}), "result: expected PASSED, WARNED or FAILED"),
        (stated(subject={}), "subject: expected an array"),
        (stated(subject=[{"name": "x", "digest": {"gitTree": "c" * 40}}]), "subject: names no manifest.json"),
        (
            stated(subject=[{"name": "manifest.json", "digest": {"sha256": "A"}}]),
            "subject: the digest of manifest.json",
        ),
        (stated(subject=[{"name": "manifest.json", "digest": {"sha256": "a" * 64}}] * 2), "subject: several"),
    ],
    ids=str,
)
def test_a_statement_of_another_kind(line: bytes, payload: bytes, why: str) -> None:
    data = _envelope(line, payload=base64.b64encode(payload).decode())

    (found,) = verified(data, "")

    assert found.state is SignatureState.MALFORMED
    assert found.why.startswith(why)


def test_a_bundle_is_bounded(line: bytes) -> None:
    fields = json.loads(line)
    many = _envelope(line, payload="e30=", signatures=fields["signatures"] * (envelope.MOST + 1))
    huge = b"\n" * envelope.MAX_BYTES + line

    assert [one.why for one in verified(many, "")] == [f"holds more than {envelope.MOST} signatures"]
    assert [one.why for one in verified(huge, "")] == [f"is larger than {envelope.MAX_BYTES} bytes"]


def test_without_a_temporary_folder_nobody_can_tell(
    keys: dict[str, Key], line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(WriteError, match=r"cannot write .*gone"):
        verified(line, keys["ann"].signer("ann@x"))


@given(st.binary(max_size=300), st.integers(0, 250), st.binary(max_size=8))
def test_whatever_a_bundle_holds_it_is_an_answer(line: bytes, data: bytes, at: int, more: bytes) -> None:
    blob = base64.b64decode(json.loads(line)["signatures"][0]["sig"])
    bent = blob[:at] + more + blob[at + len(more) :]
    for one in (data, _envelope(line, signatures=[{"sig": base64.b64encode(bent).decode() or "eA=="}])):
        found = list(envelope.parse(one))
        for content in (one[1].signatures for one in found if not isinstance(one, envelope.DamagedLine)):
            with contextlib.suppress(ValueError):
                assert ssh.blob_of(content[0]).fingerprint.startswith("SHA256:")


def test_a_name_that_held_once_holds_no_longer_than_its_line(keys: dict[str, Key], line: bytes) -> None:
    """Names are asked for once; whether they hold is asked for each signature."""
    allowed = Signers(keys["ann"].signer("ann@x", 'valid-before="20260302"').encode())
    with signatures.Verifier(allowed) as verifier:
        moments: tuple[Moment, ...] = (RUN_END, None, MARCH)
        found = [verifier.verify(line, SUBJECT, at=at)[0].state for at in moments]

    assert found == [SignatureState.VALID, SignatureState.EXPIRED, SignatureState.VALID]


# ssh-keygen itself


def _standin(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / "ssh-keygen"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "takes a wrong signature for a good one"),
        ("echo 'unknown option -- Y' >&2; exit 1", "cannot verify signatures: unknown option -- Y"),
        ("echo 'No user exists for uid 7' >&2; exit 255", "cannot verify signatures: No user exists for uid 7"),
        ("kill -9 $$", "cannot verify signatures: no reason given"),
    ],
)
def test_an_ssh_keygen_that_cannot_is_no_pass(
    keys: dict[str, Key], line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    _standin(tmp_path / "bin", script, monkeypatch)

    with pytest.raises(ssh.CannotVerify, match=words):
        verified(line, keys["ann"].signer("ann@x"))


def test_without_ssh_keygen_nobody_can_tell(
    keys: dict[str, Key], line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ssh.CannotVerify, match="cannot run ssh-keygen"):
        verified(line, keys["ann"].signer("ann@x"))
    assert states(b"{}", "") == [SignatureState.MALFORMED]  # needs none


def test_only_we_see_what_is_handed_to_ssh_keygen_and_it_is_gone_afterwards(
    keys: dict[str, Key], line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old = os.umask(0)
    try:
        with signatures.Verifier(Signers(keys["ann"].signer("ann@x").encode())) as verifier:
            verifier.verify(line, SUBJECT)
            (folder,) = tmp_path.iterdir()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(old)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize(("uid", "state"), [(65534, "valid"), (48231, "CannotVerify")])
def test_whoever_runs_it(keys: dict[str, Key], line: bytes, uid: int, state: str) -> None:
    """ssh-keygen refuses to work for a user whom nobody has named, as in some containers: that is no pass."""
    allowed = keys["ann"].signer("ann@x")
    verified(line, allowed)  # what it imports may be in a folder of root's
    pid_out, pid_in = os.pipe()
    if not (pid := os.fork()):
        said = "nothing"
        try:
            os.setgroups([])
            os.setuid(uid)
            said = verified(line, allowed)[0].state.value
        except BaseException as error:  # noqa: BLE001 -- the parent compares it, and the child must not go on
            said = type(error).__name__
        finally:
            os.write(pid_in, said.encode())
            os._exit(0)
    os.close(pid_in)
    os.waitpid(pid, 0)
    with open(pid_out, "rb") as told:
        assert told.read().decode() == state


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_kinds(tmp_path: Path, kind: str) -> None:
    key = signing.make(tmp_path, "a key with spaces", kind=kind)

    (found,) = verified(key.line(stated()), key.signer("ann@x"))

    assert (found.state, found.key) == (SignatureState.VALID, key.fingerprint)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_who_is_certified_signs(tmp_path: Path, kind: str) -> None:
    authority, key, other = (signing.make(tmp_path, name, kind=kind) for name in ("authority", "key", "other"))
    when = ("-V", "20260101000000Z:20260401000000Z")
    signing.keygen("-q", "-s", str(authority.path), "-I", "id", "-n", "ann@x,eve@y", *when, f"{key.path}.pub")
    fingerprint = key.fingerprint
    (tmp_path / "key-cert.pub").rename(tmp_path / "key.pub")
    data = key.line(stated())
    trusted = authority.signer("*@x", "cert-authority")

    def found(allowed: str, at: Moment = MARCH, *revoked: bytes) -> tuple[SignatureState, tuple[str, ...], str]:
        (one,) = verified(data, allowed, *revoked, at=at)
        return one.state, one.principals, one.key

    assert found(trusted) == (SignatureState.VALID, ("ann@x",), fingerprint)
    assert found(trusted, None)[0] is SignatureState.EXPIRED
    assert found(other.signer("*@x", "cert-authority"))[0] is SignatureState.UNKNOWN_KEY
    assert found(authority.signer("*@x"))[0] is SignatureState.UNKNOWN_KEY
    assert found(trusted, MARCH, authority.public.encode())[0] is SignatureState.REVOKED
