"""`evidence sign`, `pin --sign`, `export`, and what `verify` says of signatures: real runs, keys and repositories."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.attest import bundle
from tests import signing
from tests.manifest_samples import june
from tests.runs import TASK, Project
from tests.signing import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo, Result

pytestmark = pytest.mark.slow

DOCUMENT = f"tasks/tasks-{TASK}.md"


class Signed(Project):
    """A project with one run, and somebody's key."""

    @property
    def key(self) -> Key:
        return Key(self.root.parent / "a key")

    @property
    def run_id(self) -> str:
        return self.folders()[-1].name

    @property
    def bundle(self) -> Path:
        return self.root / bundle.FOLDER / TASK / f"{self.run_id}.intoto.jsonl"

    def sign(self, *args: str, key: Key | None = None) -> Result:
        return self.repo.orchgate("evidence", "sign", *(args or ("latest",)), "--key", str((key or self.key).path))

    def cite(self) -> None:
        """Links the manifests of all runs, and pins them."""
        links = "".join(f"- [x] Done: .runs/{TASK}/cli/{run.name}/manifest.json\n" for run in self.folders())
        self.repo.write(DOCUMENT, f"# Task\n\n{links}")
        assert self.repo.orchgate("evidence", "pin", "--task", TASK).code == 0

    def allow(self, *lines: str) -> None:
        """Commits a list of signers, on the branch that changes start from."""
        self.repo.commit(files={bundle.ALLOWED_SIGNERS: "".join(lines)})

    def verify(self, *args: str) -> Result:
        return self.repo.orchgate("evidence", "verify", *args)

    def states(self, *args: str) -> list[str]:
        result = self.verify("--output-format", "json", *args)
        return [one["state"] for run in json.loads(result.out)["signed_runs"] for one in run["signatures"]]


@pytest.fixture
def signed(repo: Repo) -> Signed:
    project = Signed(repo)
    project.define("demo", {"id": "build", "shell": "true"}, {"id": "tests", "shell": "test ! -e broken"})
    assert project.run().code == 0
    signing.make(repo.root.parent, "a key")
    return project


# Signing


def test_signs_a_run_once(signed: Signed) -> None:
    first = signed.sign()
    content = signed.bundle.read_bytes()
    again = signed.sign()

    assert first.code == again.code == 0
    assert f"signed: {signed.run_id} (demo PASSED)" in first.out
    assert f"signed before: {signed.run_id}" in again.out
    assert signed.bundle.read_bytes() == content
    assert (signed.root / ".orchgate/.gitattributes").read_text() == f"{bundle.ATTRIBUTES}\n"


def test_a_key_whose_public_half_is_not_there_signs_once(signed: Signed) -> None:
    key = signing.make(signed.root.parent, "lonely", kind="ecdsa")  # whose signatures differ from time to time
    key.path.with_name("lonely.pub").unlink()

    assert [signed.sign(key=key).code for _ in range(2)] == [0, 0]
    assert len(signed.bundle.read_text().splitlines()) == 1


def test_a_failed_run_is_signed_as_one(signed: Signed) -> None:
    (signed.root / "broken").touch()
    signed.run()

    assert "(demo FAILED)" in signed.sign().out
    assert json.loads(signed.repo.orchgate("evidence", "export", "latest").out)["predicate"]["result"] == "FAILED"


def test_two_branches_sign_and_git_takes_both(signed: Signed) -> None:
    other = signing.make(signed.root.parent, "other")
    signed.allow(signed.key.signer("ann@x"), other.signer("ben@x"))
    main = signed.repo.git("branch", "--show-current")
    for branch, key in (("one", signed.key), ("two", other)):
        signed.repo.git("checkout", "-q", "-b", branch, main)
        signed.sign(key=key)
        signed.repo.git("add", ".orchgate")
        signed.repo.commit(branch)
    signed.repo.git("merge", "-q", "one")

    result = signed.verify()

    assert "by ann@x, ben@x" in result.out or "by ben@x, ann@x" in result.out
    assert result.code == 0


def test_the_key_with_which_git_signs(signed: Signed) -> None:
    without = signed.repo.orchgate("evidence", "sign", "latest")
    signed.repo.git("config", "gpg.format", "ssh")
    unnamed = signed.repo.orchgate("evidence", "sign", "latest")
    signed.repo.git("config", "user.signingkey", str(signed.key.path))
    by_file = signed.repo.orchgate("evidence", "sign", "latest")

    assert (without.code, unnamed.code, by_file.code) == (2, 2, 0)
    assert "no key is named, and git does not sign with an SSH key" in without.out
    assert "user.signingkey names none" in unnamed.out


def test_a_key_that_only_an_agent_has(signed: Signed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(signed.key.path)], check=True, capture_output=True)
        signed.key.path.unlink()
        signed.repo.git("config", "gpg.format", "ssh")
        signed.repo.git("config", "user.signingkey", f"key::{signed.key.public}")

        result = signed.repo.orchgate("evidence", "sign", "latest")
    finally:
        agent.terminate()
        agent.wait()

    assert (result.code, signed.bundle.exists()) == (0, True), result.out


def test_a_passphrase_is_asked_for_on_the_terminal_once(signed: Signed) -> None:
    import pty

    signed.run()
    key = signing.make(signed.root.parent, "locked", passphrase="sesame")
    runs = [folder.name for folder in signed.folders()]
    pid, terminal = pty.fork()
    if not pid:
        from tests.repo import ORCHGATE

        os.chdir(signed.root)
        os.execv(ORCHGATE, [ORCHGATE, "evidence", "sign", *runs, "--key", str(key.path)])
    said = b""
    while b"passphrase" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"sesame\n")
    try:
        while part := os.read(terminal, 1000):
            said += part
    except OSError:
        pass  # its end
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0, said
    assert said.count(b"passphrase") == 1
    assert len(list((signed.root / bundle.FOLDER / TASK).iterdir())) == 2


def test_a_key_that_cannot_be_used(signed: Signed) -> None:
    locked = signing.make(signed.root.parent, "locked", passphrase="sesame")
    signed.key.path.chmod(0o644)
    env = {"SSH_ASKPASS_REQUIRE": "never"}
    call = ("evidence", "sign", "latest", "--key")

    open_to_all = signed.repo.orchgate(*call, str(signed.key.path))
    unasked = subprocess.run(
        [*_orchgate(), *call, str(locked.path)],
        cwd=signed.root,
        env=os.environ | env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to ask on
        check=False,
    )
    missing = signed.repo.orchgate(*call, "nowhere")
    garbage = signed.root / "garbage"
    garbage.write_text("no key\n")
    wrong = signed.repo.orchgate(*call, "garbage")

    assert (open_to_all.code, unasked.returncode, missing.code, wrong.code) == (3, 3, 2, 3)
    assert "others may read it" in open_to_all.out
    assert "chmod 600" in open_to_all.out
    assert b"ssh-add" in unasked.stderr
    assert "--key: there is no key at nowhere" in missing.out
    assert "garbage could not be used" in wrong.out
    assert not signed.bundle.exists()


def _orchgate() -> list[str]:
    from tests.repo import ORCHGATE

    return [str(ORCHGATE)]


def _rewritten(signed: Signed, name: str, change: Callable[[Any], None]) -> None:
    path = signed.folders()[-1] / name
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_manifest_that_its_journal_contradicts_is_not_signed(signed: Signed) -> None:
    _rewritten(signed, "manifest.json", lambda document: document.update(task_id="0002-other"))

    result = signed.sign()

    assert (result.code, signed.bundle.exists()) == (1, False)
    assert f"not signed: .runs/{TASK}/cli/{signed.run_id}/manifest.json contradicts its journal" in result.out


def test_what_else_is_not_signed(signed: Signed) -> None:
    good = signed.run_id
    (signed.root / "broken").touch()
    signed.run()
    (signed.folders()[-1] / "events.jsonl").unlink()

    result = signed.sign(good, signed.folders()[-1].name)

    assert result.code == 1
    assert f"signed: {good}" in result.out
    assert "has no journal beside it, and alone proves nothing" in result.out


def test_a_run_that_goes_on_is_not_signed(signed: Signed) -> None:
    signed.define("slow", {"id": "wait", "shell": "touch begun; sleep 60"})
    runner = signed.start("slow")
    try:
        while not (signed.root / "begun").exists():
            assert runner.poll() is None
        result = signed.sign()
    finally:
        runner.terminate()
        runner.communicate()

    assert (result.code, "is in_progress" in result.out) == (1, True)


def test_a_run_of_another_repository_is_not_signed(signed: Signed, tmp_path: Path) -> None:
    here = signed.folders()[-1]
    elsewhere = tmp_path / ".runs" / TASK / "cli" / here.name
    elsewhere.parent.mkdir(parents=True)
    here.rename(elsewhere)

    moved = signed.sign(str(elsewhere))
    here.symlink_to(elsewhere)
    linked = signed.sign(str(here))

    assert (moved.code, linked.code) == (1, 1)
    assert "is not below .runs" in moved.out


def test_a_resumed_run_is_signed_anew(signed: Signed) -> None:
    (signed.root / "broken").touch()
    signed.run()
    signed.sign()
    (signed.root / "broken").unlink()
    assert signed.repo.orchgate("resume", "latest").code == 0
    signed.allow(signed.key.signer("ann@x"))

    before, result, after = signed.states(), signed.sign(), signed.states()

    assert (before, after) == (["other_subject"], ["valid"])
    assert "(demo WARNED)" in result.out  # it passed only when it was tried again


def test_nothing_is_written_through_a_link(signed: Signed, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (signed.root / ".orchgate").mkdir()
    (signed.root / ".orchgate/signatures").symlink_to(outside)

    result, reads = signed.sign(), signed.verify()

    assert (result.code, reads.code, list(outside.iterdir())) == (3, 3, [])
    assert "is reached through a symbolic link" in result.out
    assert "is reached through a symbolic link" in reads.out


# pin --sign


def test_pin_signs_what_it_pins(signed: Signed) -> None:
    signed.run()
    links = "".join(f"- [x] Done: .runs/{TASK}/cli/{run.name}/manifest.json\n" for run in signed.folders())
    signed.repo.write(DOCUMENT, f"# Task\n\n{links}")

    result = signed.repo.orchgate("evidence", "pin", "--task", TASK, "--sign", "--key", str(signed.key.path))
    whole = signed.repo.orchgate("evidence", "sign", "--task", TASK, "--key", str(signed.key.path))

    assert (result.code, whole.code) == (0, 0), result.out
    assert "2 runs signed" in result.out
    assert "2 runs signed, nothing new" in whole.out
    assert len(list((signed.root / bundle.FOLDER / TASK).iterdir())) == 2


@pytest.mark.parametrize("options", [("--key", "x"), ("--sign", "--check"), ("--sign", "--prune"), ("--sign",)])
def test_pin_writes_nothing_where_it_cannot_sign(signed: Signed, options: tuple[str, ...]) -> None:
    signed.repo.write(DOCUMENT, f"# Task\n\n- [x] .runs/{TASK}/cli/{signed.run_id}/manifest.json\n")

    assert signed.repo.orchgate("evidence", "pin", *options).code == 2
    assert not (signed.root / ".orchgate").exists()


def test_a_run_that_is_pinned_otherwise_is_not_signed(signed: Signed) -> None:
    signed.cite()
    lock = signed.root / ".orchgate/evidence.lock"
    lock.write_bytes(lock.read_bytes().replace(b'manifest.json", "sha256": "', b'manifest.json", "sha256": "00')[:])
    lines = lock.read_text().splitlines()
    fixed = [line.replace('"sha256": "00', '"sha256": "') for line in lines]
    pins = [json.loads(line) for line in fixed]
    for pin in pins:
        if pin.get("path", "").endswith("manifest.json"):
            pin["sha256"] = "0" * 64
    lock.write_text("".join(json.dumps(pin) + "\n" for pin in pins))

    result = signed.sign()

    assert (result.code, "is not what is pinned" in result.out) == (1, True)


# Verifying


def test_says_who_signed(signed: Signed) -> None:
    signed.cite()
    signed.allow(signed.key.signer("ann@x", 'namespaces="orchgate-evidence"'))
    unsigned = signed.verify()
    signed.sign()

    result = signed.verify()

    assert (unsigned.code, result.code) == (0, 0)
    assert f"signed: {signed.run_id} by ann@x" in result.out
    assert "1 run with valid signatures (by .orchgate/allowed_signers of " in result.out


def test_what_lay_beside_the_commit_is_signed_alike_pinned_or_not(signed: Signed) -> None:
    """Files that git does not know make no run dirty, and are part of what ran."""
    signed.allow(signed.key.signer("ann@x"))
    signed.repo.write("new.py")
    assert signed.run().code == 0

    first, again, unpinned = signed.sign(), signed.sign(), signed.states()
    signed.cite()

    assert (f"signed: {signed.run_id}" in first.out, "nothing new" in again.out) == (True, True)
    assert (unpinned, signed.states()) == (["valid"], ["valid"])


def test_the_list_of_the_change_itself_does_not_count(signed: Signed) -> None:
    signed.sign()
    nowhere = signed.verify()
    (signed.root / bundle.ALLOWED_SIGNERS).write_text(signed.key.signer("ann@x"))

    nobody = signed.verify()
    named = signed.verify("--allowed-signers", bundle.ALLOWED_SIGNERS)
    unreadable = signed.verify("--allowed-signers", "nowhere")

    assert (nowhere.code, nobody.code, named.code, unreadable.code) == (3, 3, 0, 2)
    assert "hint: write who may sign into it" in nowhere.out
    assert "hint: orchgate evidence verify --allowed-signers .orchgate/allowed_signers" in nobody.out
    assert "0 runs with valid signatures, 1 not verified\n" in nowhere.out
    assert "is not in the base" in nobody.out


def test_a_revocation_of_the_change_counts_at_once(signed: Signed) -> None:
    signed.allow(signed.key.signer("ann@x"))
    signed.sign()
    (signed.root / bundle.REVOKED_KEYS).write_text(signed.key.public + "\n")
    revoked = signed.verify()
    (signed.root / bundle.REVOKED_KEYS).write_text("what is this\n")
    damaged = signed.verify()

    assert (revoked.code, damaged.code) == (1, 3)
    assert "is of a key that was revoked" in revoked.out
    assert "the list of revoked keys cannot be read: line 1 is not a public key" in damaged.out


def test_time_alone_takes_no_signature_back(signed: Signed) -> None:
    """One that the base has is judged by when its run ended, one that comes now by now."""
    main = signed.repo.git("branch", "--show-current")
    signed.allow(signed.key.signer("ann@x", 'valid-before="20991231"'))
    signed.sign()
    comes = signed.states()
    payload = json.loads(base64.b64decode(json.loads(signed.bundle.read_text())["payload"]))
    ended = next(one["annotations"]["completed_at"] for one in payload["subject"] if "annotations" in one)
    until = ended[:4] + "1231"  # the run ended before, and so does now: what is over lies in between
    signed.repo.git("add", ".orchgate")
    signed.allow(signed.key.signer("ann@x", f'valid-before="{until}"'))
    signed.repo.git("checkout", "-q", "-b", "work", main)

    assert (comes, signed.states()) == (["valid"], ["valid"])


def test_a_manifest_rewritten_after_it_was_signed(signed: Signed) -> None:
    """Even where journal and manifest agree again, and the lock is pinned again."""
    signed.allow(signed.key.signer("ann@x"))
    signed.cite()
    signed.sign()
    folder = signed.folders()[-1]
    for name in ("manifest.json", "events.jsonl"):
        (folder / name).write_text((folder / name).read_text().replace('"true"', '"make all"'))
    repinned = signed.repo.orchgate("evidence", "pin", "--task", TASK)

    result = signed.verify()

    assert (repinned.code, result.code) == (0, 1), repinned.out
    assert "other subject: the signature of SHA256:" in result.out
    assert "is of another manifest" in result.out


def test_a_run_whose_journal_is_not_pinned_is_not_verified(signed: Signed) -> None:
    signed.allow(signed.key.signer("ann@x"))
    signed.cite()
    signed.sign()
    lock = signed.root / ".orchgate/evidence.lock"
    lock.write_text("".join(line for line in lock.read_text().splitlines(keepends=True) if "events.jsonl" not in line))

    result = signed.verify()

    assert (result.code, "signs a run whose journal is not pinned" in result.out) == (3, True)


def test_what_is_no_plain_file_is_not_verified(signed: Signed) -> None:
    signed.allow(signed.key.signer("ann@x"))
    signed.sign()
    content = signed.bundle.read_bytes()
    signed.bundle.unlink()
    os.mkfifo(signed.bundle)
    pipe = signed.verify()
    signed.bundle.unlink()
    (signed.root / "elsewhere").write_bytes(content)
    signed.bundle.symlink_to(signed.root / "elsewhere")
    link = signed.verify()

    assert (pipe.code, link.code) == (3, 3), link.out


def test_signing_takes_both_sides_of_a_merge(signed: Signed) -> None:
    other = signing.make(signed.root.parent, "other")
    signed.allow(signed.key.signer("ann@x"), other.signer("ben@x"))
    signed.sign()
    content = signed.bundle.read_text()
    signed.bundle.write_text(f"<<<<<<< ours\n{content}=======\n{content}>>>>>>> theirs\n")
    damaged = signed.states()
    signed.sign(key=other)

    assert damaged.count("malformed") == 3
    assert signed.states() == ["valid", "valid"]


def test_the_run_of_another_program_is_signed_by_its_manifest_alone(signed: Signed) -> None:
    manifest = june()
    path = signed.root / ".runs" / manifest["task_id"] / "cli" / manifest["run_id"] / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))

    result = signed.sign(str(path))

    statement = json.loads(signed.repo.orchgate("evidence", "export", str(path)).out)
    assert result.code == 0, result.out
    assert not [one for one in statement["subject"] if one["name"].endswith("events.jsonl")]


def test_a_run_that_is_nowhere_is_not_verified(signed: Signed) -> None:
    signed.allow(signed.key.signer("ann@x"))
    signed.sign()
    signed.bundle.rename(signed.bundle.with_name("2026-01-01T00-00-00-000Z-00000000.intoto.jsonl"))
    (signed.root / bundle.FOLDER / "stray.txt").write_text("x\n")

    result = signed.verify()

    assert result.code == 3
    assert "signs a run that is neither pinned nor here" in result.out
    assert "is not a file of signatures" in result.out


def test_without_ssh_keygen_nothing_passes(signed: Signed, tmp_path: Path) -> None:
    signed.allow(signed.key.signer("ann@x"))
    signed.sign()
    for program in ("git", "sh"):
        found = subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, check=True).stdout
        (tmp_path / program).symlink_to(found.decode().strip())

    result = signed.repo.orchgate("evidence", "verify", env={"PATH": str(tmp_path)})
    signs = signed.repo.orchgate(
        "evidence", "sign", "latest", "--key", str(signed.key.path), env={"PATH": str(tmp_path)}
    )

    assert (result.code, signs.code) == (3, 3)
    assert "cannot run ssh-keygen" in result.out


# What others can check


def test_ssh_keygen_alone_verifies_what_the_pages_say(signed: Signed, tmp_path: Path) -> None:
    """As docs/guide/attest.md has it."""
    signed.sign()
    (tmp_path / "allowed_signers").write_text(signed.key.signer("ann@x"))
    page = (Path(__file__).parents[1] / "docs/guide/attest.md").read_text()
    script = page.partition('```bash title="check.sh"\n')[2].partition("```")[0]
    (tmp_path / "check.sh").write_text(script)

    done = subprocess.run(
        ["bash", "check.sh", str(signed.bundle), "ann@x"], cwd=tmp_path, capture_output=True, check=False
    )

    assert b'Good "orchgate-evidence" signature for ann@x' in done.stdout, done.stderr


def test_the_statement_is_one_by_the_package_of_in_toto(signed: Signed) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    signed.repo.write("orchgate.toml", (signed.root / "orchgate.toml").read_text() + "\n# changed\n")
    signed.repo.write("new\udcff file.txt")
    signed.run()
    text = signed.repo.orchgate("evidence", "export", "latest", "--format", "in-toto").out

    message = json_format.Parse(text, Message())
    statement = Statement.copy_from_pb(message)
    statement.validate()
    result = json_format.ParseDict(json.loads(text)["predicate"], test_result_pb2.TestResult())

    assert (result.result, list(result.passed_tests)) == ("PASSED", ["build", "tests"])
    notes = json.loads(text)["subject"][0]["annotations"]
    assert (notes["dirty"], list(notes["changed"]), list(notes["untracked"])) == (
        True,
        ["orchgate.toml"],
        ["new\\xff file.txt"],
    )


def test_exports_the_same_bytes_and_the_signatures(signed: Signed) -> None:
    call = ("evidence", "export", signed.run_id)
    unsigned = signed.repo.orchgate(*call, "--signed")
    signed.sign()
    first, again = (signed.repo.orchgate(*call).out for _ in range(2))
    written = signed.repo.orchgate(*call, "--signed", "-o", "out.jsonl")
    twice = signed.repo.orchgate(*call, "--signed", "-o", "out.jsonl")
    payload = base64.b64decode(json.loads(signed.bundle.read_text())["payload"])

    assert first == again == payload.decode() + "\n"
    assert (signed.root / "out.jsonl").read_bytes() == signed.bundle.read_bytes()
    assert (unsigned.code, written.code, twice.code) == (3, 0, 3)
    assert "nobody has signed" in unsigned.out
