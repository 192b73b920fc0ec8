"""EVD014: what a change claims by a run is signed by those who must sign such runs, and forgeries are refused."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.attest.bundle import ALLOWED_SIGNERS as ALLOWED
from orchgate.attest.bundle import REVOKED_KEYS as REVOKED
from orchgate.runs import state
from tests import signed_runs
from tests.repo import ORCHGATE, clone
from tests.signed_runs import CHECKLIST, LOCK, POLICY, TICKED, SignedRuns
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def signed(repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> SignedRuns:
    return signed_runs.made(repo, tmp_path_factory.mktemp("keys"))


def test_a_claim_whose_run_is_signed_passes(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run)

    assert signed.said() == []
    assert signed.report()["verdict"] == "pass"


def test_a_claim_whose_run_is_not_signed_is_refused(signed: SignedRuns) -> None:
    signed.claim(signed.run())

    (message,) = signed.said()

    assert message == "is not signed, and runs of build must be signed by ci"


def test_a_clone_without_the_artifacts_can_tell(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    path = signed.sign(run)
    shutil.rmtree(signed.repo.root / ".runs")

    assert signed.said() == []

    signed.repo.git("rm", "-q", "--cached", path)
    assert signed.said() == ["is not signed, and runs of build must be signed by ci"]


def test_runs_that_nobody_has_to_sign_are_not_asked(signed: SignedRuns) -> None:
    signed.claim(signed.run("test"), what="Test")

    assert signed.said() == []


def test_a_signature_by_somebody_without_the_role_is_not_enough(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run, "ann")

    assert signed.said() == ["is signed by ann@example.org, and runs of build must be signed by ci"]


def test_each_role_that_must_sign_is_asked_for(repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = POLICY.replace('["build:ci"]', '["build:ci", "*:people"]').replace("*@example.org", "ann@*")
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy)
    run = signed.run()
    signed.claim(run)
    signed.sign(run)

    assert signed.said() == ["is signed by ci@example.org, and runs of build must be signed by people"]

    signed.sign(run, "ann")
    assert signed.said() == []


# Signatures that do not hold


def signer(signed: SignedRuns, options: str) -> None:
    """From the base on, CI's key has options."""
    signed.repo.commit(files={ALLOWED: signed.keys["ci"].signer("ci@example.org", options)})


def revoke(signed: SignedRuns, _: str) -> None:
    """The change itself revokes CI's key."""
    signed.repo.stage(REVOKED, signed.keys["ci"].public + "\n")


WRONG: dict[str, tuple[Callable[[SignedRuns, str], object], str]] = {
    "expired": (lambda signed, _: signer(signed, 'valid-before="20200101"'), "is of a key that is not valid at "),
    "not valid yet": (lambda signed, _: signer(signed, 'valid-after="20990101"'), "is of a key that is not valid at "),
    "of another namespace": (lambda signed, _: signer(signed, 'namespaces="git"'), "is of a key that may not sign for"),
    "revoked": (lambda signed, _: signed.repo.commit(files={REVOKED: signed.keys["ci"].public + "\n"}), "was revoked"),
    "revoked by the change": (revoke, "is of a key that was revoked"),
    "of nobody": (lambda signed, _: signed.repo.commit(files={ALLOWED: "# nobody\n"}), "is of a key that no signer"),
    "not an envelope": (lambda signed, path: signed.repo.stage(path, "{}\n"), "line 1 payloadType: expected"),
    "cut off": (
        lambda signed, path: signed.repo.stage(path, (signed.repo.root / path).read_bytes()[:300]),
        "is not JSON",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_signature_that_does_not_hold_is_named(signed: SignedRuns, name: str) -> None:
    spoil, why = WRONG[name]
    run = signed.run()
    signed.repo.git("checkout", "-q", "-b", "work")
    spoil(signed, "") if name in ("expired", "not valid yet", "of another namespace", "revoked", "of nobody") else None
    signed.claim(run)
    path = signed.sign(run)
    spoil(signed, path) if name in ("revoked by the change", "not an envelope", "cut off") else None

    (message,) = signed.said()

    assert message.startswith("has no signature by ci that holds: ")
    assert why in message


def test_a_key_that_signed_for_something_else(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run, namespace="git")

    assert "was made for 'git', not for 'orchgate-evidence'" in signed.said()[0]


def test_a_stranger_signs_nothing(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run, "eve")

    assert signed.said() == [
        f"has no signature by ci that holds: the one by {signed.keys['eve'].fingerprint} is of a key that no signer has"
    ]


SPELLINGS = {
    "a folder escaped": "[run](../.runs/{task}/%63li/{id}/manifest.json)",
    "the root escaped": "[run](../%2Eruns/{task}/cli/{id}/manifest.json)",
    "the id escaped": "[run](../.runs/{task}/cli/{escaped}/manifest.json)",
    "an entity": "[run](../.runs/{task}&#47;cli/{id}/manifest.json)",
    "slashes": "`.runs/{task}//cli//{id}/manifest.json`",
    "there and back": "[run](../tasks/../.runs/{task}/cli/{id}/manifest.json)",
    "a symbolic link": "[run](../proof/{id}/manifest.json)",
    "braces": "`.runs/{task}/cli/{{{id},{id}}}/manifest.json`",
    "a wildcard": "`.runs/{task}/cli/*/manifest.json`",
    "part of an id": "`.runs/{task}/cli/{id:.30}*/events.jsonl`",
    "wildcards above": "`.runs/**/{id}/manifest.json`",
    "HTML": '<a href="../.runs/{task}/cli/{id}/events.jsonl">run</a>',
}


def test_a_run_is_cited_however_it_is_written(signed: SignedRuns) -> None:
    (signed.repo.root / "proof").symlink_to(f".runs/{signed_runs.TASK}/cli")
    signed.repo.git("add", "proof")
    signed.repo.commit()
    run = signed.run()
    signed.pin(run)
    name = run.split("/")[-2]
    passed = []
    for how, written in SPELLINGS.items():
        cited = written.format(task=signed_runs.TASK, id=name, escaped=name.replace("-", "%2D"))
        signed.repo.stage(CHECKLIST, f"# Checklist\n\n- [x] Build passes. Evidence: {cited}\n")
        found = signed.only(signed.report())
        passed += [how] if [one["severity"] for one in found] != ["error"] else []

    assert passed == []


@pytest.mark.parametrize("far", ["", "More.\n\n" * 90], ids=["near", "far"])
def test_a_run_behind_a_label_is_cited_where_the_label_is_used(signed: SignedRuns, far: str) -> None:
    run = signed.run()
    signed.pin(run)
    defined = f"# Notes\n\n{far}[The  run]: ../{run}\n"
    signed.repo.commit("defined", {"docs/notes.md": defined})
    assert signed.said() == []
    signed.repo.stage("docs/notes.md", defined.replace("# Notes\n", "# Notes\n\n- [x] Build passes: [log][the run]\n"))

    assert signed.said() == ["is not signed, and runs of build must be signed by ci"]


def test_several_runs_at_once_are_cited_by_none_of_them(signed: SignedRuns) -> None:
    signed.run()
    text = f"- [x] {{}} ran. Evidence: `.runs/{signed_runs.TASK}/cli/*/manifest.json`\n<!-- {{}} -->\n"
    signed.claim(signed.run(), text)

    assert signed.said() == []


def test_the_signature_of_another_run_is_none_of_this_one(signed: SignedRuns) -> None:
    other, run = signed.run(), signed.run()
    signed.claim(run)
    path = signed.sign(other)
    signed.repo.git("mv", path, signed_runs.signatures_of(run))

    assert "is of another manifest" in signed.said()[0]


def test_one_signature_that_holds_is_enough_beside_others_that_do_not(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    for who in ("eve", "ci", "ann"):
        signed.sign(run, who)

    assert signed.said() == []


# Forgeries


def forged(signed: SignedRuns) -> str:
    """A run that failed, written anew with its journal as one that passed, and pinned and claimed as such."""
    signed.repo.stage("broken")
    run = signed.run(code=1)
    signed.forge(run)
    signed.claim(run)
    return run


def test_whoever_writes_manifest_journal_and_pin_passes_a_gate_that_asks_for_no_signature(
    repo: Repo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy="")
    forged(signed)

    assert signed.report()["verdict"] == "pass"
    assert "whoever writes the change" in signed.repo.orchgate("explain", "EVD014").out
    verified = signed.repo.orchgate("evidence", "verify")
    assert (verified.code, verified.out.splitlines()[-1]) == (
        0,
        "1 pinned run without a signature: whoever writes a change can write a run and its pin, too",
    )


def test_a_forged_run_that_nobody_signed_is_refused(signed: SignedRuns) -> None:
    forged(signed)

    assert signed.said() == ["is not signed, and runs of build must be signed by ci"]


def test_what_was_signed_before_it_was_forged_is_of_something_else(signed: SignedRuns) -> None:
    signed.repo.stage("broken")
    run = signed.run(code=1)
    signed.sign(run)
    signed.forge(run)
    signed.claim(run)

    assert "is of another manifest" in signed.said()[0]


def test_a_statement_that_is_written_anew_is_not_what_the_key_signed(signed: SignedRuns) -> None:
    signed.repo.stage("broken")
    run = signed.run(code=1)
    path = signed.sign(run)
    signed.forge(run)
    signed.claim(run)
    fields = json.loads((signed.repo.root / path).read_text())
    fields["payload"] = base64.b64encode(signed.statement(run)).decode()
    signed.repo.stage(path, json.dumps(fields) + "\n")

    assert "does not match what it is said to sign" in signed.said()[0]


def test_a_pin_without_the_journal_that_was_signed_is_refused(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run)
    lock = signed.repo.root / LOCK
    lines = lock.read_text().splitlines(keepends=True)
    signed.repo.stage(LOCK, "".join(line for line in lines if "events.jsonl" not in line))

    assert "is signed with its journal, which is not pinned" in signed.said()[0]


FACTS: dict[str, tuple[dict[str, object], str]] = {
    "the pipeline": ({"pipeline": "build"}, "pipeline"),
    "the outcome": ({"pipeline": "test", "status": "failed"}, "result"),
    "the tree": ({"pipeline": "test", "tree": "0" * 40}, "tree"),
    "what was changed": (
        {"pipeline": "test", "dirty": True, "changed": {"src/a.py": None}},
        "set of uncommitted changes",
    ),
    "what was untracked": ({"pipeline": "test", "untracked": {"a": f"100644 {'0' * 40}"}}, "set of untracked files"),
    "whether anything was": ({"pipeline": "test", "dirty": True}, "state of the work tree"),
    "what it proves": (
        {"pipeline": "test", "accepts": {"document": CHECKLIST, "item": "It works", "command": "pytest -q"}},
        "item of a checklist",
    ),
}


@pytest.mark.parametrize("what", FACTS)
def test_facts_of_a_pin_that_nobody_signed_are_refused(signed: SignedRuns, what: str) -> None:
    """In a clone without the run, other rules believe them."""
    facts, name = FACTS[what]
    policy = POLICY.replace('["build:ci"]', '["*:ci"]')
    signed.repo.commit(files={"orchgate.toml": signed_runs.CONFIGURATION + policy})
    run = signed.run("test")
    signed.claim(run)
    signed.sign(run)
    assert signed.said() == []

    edit_pins(signed, lambda one: one.get("run", {}).update(facts))

    (found,) = signed.only(signed.report())
    assert f"is of another {name}" in found["message"]


def edit_pins(signed: SignedRuns, edit: Callable[[dict[str, Any]], object]) -> None:
    """Changes what the lock says, where no run is here to contradict it."""
    shutil.rmtree(signed.repo.root / ".runs", ignore_errors=True)
    lines = [json.loads(line) for line in (signed.repo.root / LOCK).read_text().splitlines()]
    for one in lines:
        edit(one)
    signed.repo.stage(LOCK, "".join(json.dumps(one) + "\n" for one in lines))


@pytest.mark.parametrize("status", ["passed", "Success", ""])
def test_a_failed_run_is_not_pinned_by_another_word_for_success(signed: SignedRuns, status: str) -> None:
    signed.repo.stage("broken")
    run = signed.run(code=1)
    signed.claim(run)
    signed.sign(run)
    edit_pins(signed, lambda one: one.get("run", {}).update(status=status))

    assert "is of another result" in signed.said()[0]


def test_what_lay_beside_a_run_is_not_left_out_of_its_pin(signed: SignedRuns) -> None:
    signed.repo.write("src/a.py", "x = 2  # works, and does not land\n")
    run = signed.run()
    signed.repo.git("checkout", "-q", "src/a.py")
    signed.claim(run)
    signed.sign(run)

    def clean(one: dict[str, Any]) -> None:
        if facts := one.get("run"):
            facts["dirty"] = False
            del facts["changed"]

    edit_pins(signed, clean)

    assert "is of another state of the work tree" in signed.said()[0]


@pytest.mark.parametrize("task", [signed_runs.TASK, "0002-other"])
def test_one_signed_run_is_not_two(signed: SignedRuns, task: str) -> None:
    run = signed.run()
    signed.claim(run)
    line = (signed.repo.root / signed.sign(run)).read_text()
    copy = run.replace(signed_runs.TASK, task)
    copy = re.sub("[0-9a-f]{8}/manifest", "01234567/manifest", copy)
    lock = (signed.repo.root / LOCK).read_text()
    there, here = (path.removesuffix("manifest.json") for path in (run, copy))
    again = lock.replace(there, here).replace(there.split("/")[-2], here.split("/")[-2])
    shutil.rmtree(signed.repo.root / ".runs")
    signed.repo.stage(LOCK, lock + again.replace(f'"{signed_runs.TASK}"', f'"{task}"'))
    signed.repo.stage(signed_runs.signatures_of(copy), line)
    signed.repo.stage("docs/notes.md", f"# Notes\n\n- [x] Built again. Evidence: `{copy}`\n")

    (message,) = signed.said()

    assert "is of another run" in message


def test_no_comment_in_a_document_makes_an_exception(signed: SignedRuns) -> None:
    comment = "<!-- orchgate: ignore[EVD014] trust me -->\n"
    signed.claim(signed.run(), comment + TICKED)

    report = signed.report()

    assert [one["suppressed"] for one in signed.only(report)] == [None]
    assert "cannot be ignored in a document" in signed.only(report, "SUP002")[0]["message"]


@pytest.mark.parametrize(("cited", "rule"), [("manifest.json", "EVD007"), ("stages/01-build.log", "EVD012")])
def test_a_run_of_which_nothing_can_be_read_is_not_one_that_nobody_has_to_sign(
    signed: SignedRuns, cited: str, rule: str
) -> None:
    """What other rules say of it, a comment silences."""
    run = signed.run()
    text = TICKED.replace("- [x]", f"<!-- orchgate: ignore[{rule}] trust me -->\n- [x]")
    signed.claim(run.replace("manifest.json", cited), text)
    shutil.rmtree(signed.repo.root / ".runs")
    lines = [json.loads(line) for line in (signed.repo.root / LOCK).read_text().splitlines()]
    for one in lines:
        one.pop("run", None)
    kept = [one for one in lines if one.get("path", cited).endswith(cited)]
    signed.repo.stage(LOCK, "".join(json.dumps(one) + "\n" for one in kept))

    report = signed.report()

    (found,) = signed.only(report)
    assert "of which nobody can tell who must sign it: its manifest " in found["message"]
    assert report["verdict"] == "fail"


def test_no_comment_lets_a_run_pass_that_is_nowhere(signed: SignedRuns) -> None:
    comment = "<!-- orchgate: ignore[EVD001] moved to the archive -->\n"
    run = signed.run()
    signed.repo.stage(CHECKLIST, "# Checklist\n\n" + comment + TICKED.format("Build", run))
    shutil.rmtree(signed.repo.root / ".runs")

    (found,) = signed.only(signed.report())

    assert "neither here nor pinned, and nobody can tell who must sign it" in found["message"]
    assert signed.report()["verdict"] == "fail"


def test_a_run_that_is_nowhere_and_is_said_to_have_failed_needs_no_signature(signed: SignedRuns) -> None:
    run = signed.run()
    signed.repo.stage(CHECKLIST, "# Checklist\n\n" + "- [x] {} failed. Evidence: `{}`\n".format("Build", run))
    shutil.rmtree(signed.repo.root / ".runs")

    report = signed.report()

    assert signed.only(report) == []
    assert report["problems"] == []
    assert report["verdict"] == "fail"  # EVD001


# Whose signers count


def test_a_change_does_not_let_its_own_signer_in(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run, "eve")
    signed.repo.stage(ALLOWED, signed_runs.allowed(signed.keys) + signed.keys["eve"].signer("ci@eve.example"))

    report = checked("configuration", "evidence", "--staged")

    assert "is of a key that no signer has" in signed.only(report)[0]["message"]
    (let_in,) = signed.only(report, "CFG001")
    assert let_in["severity"] == "error"
    assert let_in["message"] == (
        f"lets ci@eve.example ({signed.keys['eve'].fingerprint}) sign, and this change also contains what the old "
        "signers refuse (EVD014)"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [("", " sign; this change is judged by its base's signers"), ('valid-before="20200101" ', None)],
)
def test_a_change_that_lets_somebody_sign_says_whom(signed: SignedRuns, options: str, words: str | None) -> None:
    line = signed.keys["eve"].signer("eve@example.org")
    signed.repo.stage(ALLOWED, signed_runs.allowed(signed.keys) + line)
    if words is None:  # and what only tightens what is there says nothing
        signed.repo.commit()
        signed.repo.stage(
            ALLOWED, signed_runs.allowed(signed.keys) + signed.keys["eve"].signer("eve@example.org", options)
        )

    found = [(one["severity"], one["message"]) for one in signed.only(checked("configuration", "--staged"), "CFG001")]

    lets = f"lets eve@example.org ({signed.keys['eve'].fingerprint})"
    assert found == ([("warning", lets + words)] if words else [])


def test_taking_back_a_revocation_is_said(signed: SignedRuns) -> None:
    signed.repo.commit(files={REVOKED: signed.keys["ci"].public + "\n"})
    signed.repo.stage(REVOKED, "# none\n")
    run = signed.run()
    signed.claim(run)
    signed.sign(run)

    report = checked("configuration", "evidence", "--staged")

    assert "is of a key that was revoked" in signed.only(report)[0]["message"]
    assert [one["severity"] for one in signed.only(report, "CFG001")] == ["error"]
    assert f"takes back that {signed.keys['ci'].fingerprint} is revoked" in signed.only(report, "CFG001")[0]["message"]


def test_a_base_without_signers_is_no_pass(signed: SignedRuns) -> None:
    signed.repo.git("rm", "-q", ALLOWED)
    signed.repo.commit()
    run = signed.run()
    signed.claim(run)
    signed.sign(run)
    signed.repo.stage(ALLOWED, signed_runs.allowed(signed.keys))

    ended = signed.repo.orchgate("check", "evidence", "--staged")

    assert ended.code == 3
    assert "the base has no list of signers, so nobody can tell whose signature counts" in ended.out


def test_adopting_signatures_is_judged_by_the_base_which_asked_for_none(
    repo: Repo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy="")
    signed.repo.git("rm", "-q", ALLOWED)
    signed.repo.commit()
    signed.repo.stage("orchgate.toml", signed_runs.CONFIGURATION + POLICY)
    signed.repo.stage(ALLOWED, signed_runs.allowed(signed.keys))
    signed.claim(signed.run())

    report = checked("configuration", "evidence", "--staged")

    assert report["verdict"] == "pass"
    assert [(one["rule"], one["severity"]) for one in report["diagnostics"]] == [("CFG001", "note")] * 2


def test_without_ssh_keygen_nobody_can_tell(
    signed: SignedRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = signed.run()
    signed.claim(run)
    signed.sign(run)
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    report = signed.report()

    assert (report["verdict"], signed.only(report)) == ("broken", [])


def test_no_ssh_keygen_of_the_judged_folder_is_run(
    signed: SignedRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = signed.run()
    signed.claim(run)
    path = signed.sign(run)
    for name in ("ssh-keygen", "bin/ssh-keygen"):
        signed.repo.write(name, f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 0\n")
        (signed.repo.root / name).chmod(0o755)
    monkeypatch.setenv("PATH", f".:bin::{os.environ['PATH']}")

    assert signed.said() == []
    signed.repo.git("rm", "-q", "--cached", path)
    signed.sign(run, "ann")
    assert not (tmp_path / "ran").exists()


def test_a_list_of_revoked_keys_that_nobody_can_read_does_not_land(signed: SignedRuns) -> None:
    """Every later claim would end in exit 3, whoever made it."""
    signed.repo.stage(REVOKED, signed.keys["eve"].public + "\nSHA256:abc\n")

    report = checked("configuration", "--staged")

    assert report["verdict"] == "broken"
    assert "line 2 is not a public key" in json.dumps(report)


# What was there before


def test_older_claims_are_not_asked_again(repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> None:
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy="")
    signed.claim(signed.run())
    signed.repo.commit(files={"orchgate.toml": signed_runs.CONFIGURATION + POLICY})
    text = (signed.repo.root / CHECKLIST).read_text()
    signed.repo.stage(CHECKLIST, text.replace("# Checklist", "# The checklist"))

    assert signed.said() == []
    assert signed.said("--all-files") == []


def landed(signed: SignedRuns) -> tuple[str, str]:
    """A signed claim at the base: its run, and the file of the signature."""
    run = signed.run()
    signed.claim(run)
    path = signed.sign(run)
    signed.repo.commit()
    return run, path


def test_taking_a_signature_away_from_an_older_claim_is_the_changes_fault(signed: SignedRuns) -> None:
    _, path = landed(signed)
    signed.repo.git("rm", "-q", path)

    assert signed.said() == ["was signed, and now is not signed, and runs of build must be signed by ci"]


def test_pinning_something_else_below_an_older_claim_is_the_changes_fault(signed: SignedRuns) -> None:
    run, _ = landed(signed)
    text = (signed.repo.root / LOCK).read_text()
    signed.repo.stage(LOCK, re.sub(r'(manifest.json", "sha256": ")[0-9a-f]{4}', r"\g<1>0000", text))

    report = signed.report()

    (found,) = signed.only(report)
    assert found["message"].startswith(f"{run} was signed, and now has no signature by ci that holds: ")


@pytest.mark.parametrize("facts", [{"status": "failed"}, {"pipeline": "test"}], ids=str)
def test_a_pin_that_says_now_what_must_be_signed_is_asked_for_it(signed: SignedRuns, facts: dict[str, object]) -> None:
    """Until then nobody asked: an older claim said that the run failed, or the pin that it is of another kind."""
    run = signed.run()
    signed.claim(run, "- [x] {} failed. Evidence: `{}`\n")
    pinned = (signed.repo.root / LOCK).read_text()
    edit_pins(signed, lambda one: one.get("run", {}).update(facts))
    assert signed.said() == []
    signed.repo.commit()

    signed.repo.stage(LOCK, pinned)
    text = (signed.repo.root / CHECKLIST).read_text()
    signed.repo.stage(CHECKLIST, text.replace("failed.", "works."))

    assert signed.said() == ["is not signed, and runs of build must be signed by ci"]


def test_a_second_signature_of_an_older_claim_is_welcome(signed: SignedRuns) -> None:
    run, _ = landed(signed)
    signed.sign(run, "ann")

    assert signed.said() == []


def test_expired_since_makes_no_older_signature_worthless_and_no_new_one_good(signed: SignedRuns) -> None:
    run, path = landed(signed)
    lines = (signed.repo.root / path).read_bytes()
    ended = datetime.fromisoformat(json.loads((signed.repo.root / run).read_text())["completed_at"])
    last = ended.replace(microsecond=0) + timedelta(seconds=1)  # OpenSSH knows whole seconds
    while datetime.now(UTC) < last + timedelta(seconds=1):
        time.sleep(0.1)
    signer(signed, f'valid-before="{last:%Y%m%d%H%M%SZ}"')
    signed.repo.stage("docs/notes.md", f"# Notes\n\n- [x] Built. Evidence: `{run}`\n")

    assert signed.said() == []

    signed.repo.git("rm", "-q", "--cached", path)
    signed.repo.commit()
    signed.repo.stage(path, lines)
    signed.repo.stage("docs/more.md", f"# More\n\n- [x] Built. Evidence: `{run}`\n")
    (message,) = signed.said()
    assert "is of a key that is not valid at " in message


def signed_too_late(signed: SignedRuns) -> str:
    """A run that CI's key signs when it has expired; its record says that it ended while the key was valid."""
    last = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    while datetime.now(UTC) < last + timedelta(seconds=1):
        time.sleep(0.1)
    run = signed.run()
    path = signed.repo.root / run
    signer(signed, f'valid-before="{last:%Y%m%d%H%M%SZ}"')
    for part in (path, path.with_name("events.jsonl")):
        part.write_text(re.sub(r'T\d\d:\d\d:\d\d\.\d{3}Z"', 'T00:00:00.000Z"', part.read_text()))
    path.write_bytes(
        state.render(state.manifest(map(json.loads, path.with_name("events.jsonl").read_text().splitlines())))
    )
    signed.sign(run)
    return run


def test_a_signature_that_landed_before_any_claim_is_held_to_now(signed: SignedRuns) -> None:
    """Else whoever has a key that expired signs a run of old, lands that alone, and claims by it in the next change."""
    run = signed_too_late(signed)
    assert signed.said() == []  # nothing is claimed
    signed.repo.commit()

    signed.claim(run)

    (message,) = signed.said()
    assert "is of a key that is not valid at " in message


@pytest.mark.parametrize(
    ("facts", "text"),
    [({"pipeline": "test"}, TICKED), ({"status": "failed"}, "- [x] {} failed. Evidence: `{}`\n")],
    ids=["of a kind that nobody signs", "that the run failed"],
)
def test_a_signature_is_held_to_now_where_a_claim_was_there_that_nobody_judged_by_it(
    signed: SignedRuns, facts: dict[str, object], text: str
) -> None:
    run = signed_too_late(signed)
    signed.claim(run, text)
    pinned = (signed.repo.root / LOCK).read_text()
    edit_pins(signed, lambda one: one.get("run", {}).update(facts))
    assert signed.said() == []
    signed.repo.commit()

    signed.repo.stage(LOCK, pinned)
    signed.repo.stage("docs/notes.md", f"# Notes\n\n- [x] Built. Evidence: `{run}`\n")

    messages = signed.said()  # also of the older claim, for which nobody asked until now
    assert len(messages) == 2
    assert all("is of a key that is not valid at " in message for message in messages)


def test_taking_a_signature_away_where_nobody_can_tell_is_no_pass(signed: SignedRuns) -> None:
    """Such as by a change that spoils the list of revoked keys at the same time."""
    _, path = landed(signed)
    signed.repo.git("rm", "-q", path)
    signed.repo.stage(REVOKED, "no key\n")

    report = signed.report()

    assert report["verdict"] == "broken"
    assert "the list of revoked keys cannot be read: line 1" in json.dumps(report)


# The page


def signed_by(signed: SignedRuns) -> tuple[list[str], list[str]]:
    """What the page says of who signed the pinned runs, and what it could not tell."""
    ended = signed.repo.orchgate("report", "--output-format", "json")
    page, _ = json.JSONDecoder().raw_decode(ended.out)  # what could not be read is said behind it
    names = [one["signed_by"] for one in page["evidence"]["artifacts"] if one["signed_by"]]
    return names, [one["message"] for one in page["problems"] if "signatures" in one["message"]]


def test_the_page_says_who_signed_a_run_as_far_as_that_holds(signed: SignedRuns) -> None:
    run, path = landed(signed)
    assert signed_by(signed) == (["ci@example.org"], [])

    signed.repo.stage(path, signed.keys["eve"].line(signed.statement(run)))
    assert signed_by(signed) == (["nobody: is of a key that no signer has"], [])

    signed.repo.stage(REVOKED, "no key\n")
    names, problems = signed_by(signed)
    assert names == []
    assert any("signatures were not verified" in one for one in problems)


# Packets and tasks


def finish(signed: SignedRuns) -> None:
    """Ticks the last box of the packet."""
    text = (signed.repo.root / CHECKLIST).read_text()
    signed.repo.stage(CHECKLIST, text.replace("- [ ]", "- [x]"))


@pytest.mark.parametrize("by", [None, "ci"])
def test_a_packet_is_finished_by_a_signed_run(
    repo: Repo, tmp_path_factory: pytest.TempPathFactory, by: str | None
) -> None:
    """Its claim is older than the policy, so that nobody has asked yet."""
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy="[evidence]\nrequired-runs = ['build']\n")
    run = signed.run()
    signed.claim(run, TICKED + "- [ ] Looked at. Evidence: `docs/PRD-demo.md`\n")
    policy = "[evidence]\nrequired-runs = ['build']\n" + POLICY
    signed.repo.commit(files={"orchgate.toml": signed_runs.CONFIGURATION + policy})
    if by:
        signed.sign(run, by)
        signed.repo.commit()

    owed = owes(signed)
    assert judged(signed, "--all-files")[0] == 0  # which adds nothing to itself
    finish(signed)
    said = signed.said()
    signed.repo.commit()
    finished = owes(signed)

    assert ("EVD014" in owed, len(said), "EVD014" in finished) == ((False, 0, False) if by else (True, 1, False))


def test_a_signed_run_of_one_phase_is_none_of_the_other(repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> None:
    asked = "[evidence]\nrequired-runs = ['build:before', 'build:after']\n"
    signed = signed_runs.made(repo, tmp_path_factory.mktemp("keys"), policy=asked + POLICY)
    run = signed.run()
    signed.claim(run, "- [x] {} after the change. Evidence: `{}`\n")
    signed.sign(run)

    report = signed.report()

    assert [one["message"] for one in signed.only(report)] == []
    assert "build from before the change" in signed.only(report, "EVD010")[0]["message"]


def owes(signed: SignedRuns) -> list[str]:
    """What the task owes, as rules."""
    ended = signed.repo.orchgate("tasks", "check", signed_runs.TASK, "--output-format", "json")
    return [one["rule"] for one in json.loads(ended.out)["tasks"][0]["owes"]]


def test_a_task_owes_the_signatures_of_what_its_branch_claims(signed: SignedRuns) -> None:
    signed.repo.git("checkout", "-q", "-b", "work")
    run = signed.run("build")
    signed.claim(run)

    assert "EVD014" in owes(signed)

    signed.sign(run)
    assert "EVD014" not in owes(signed)


# Several clones


def as_in(signed: SignedRuns, root: Path, *who: str) -> SignedRuns:
    """A clone on another machine, where only some keys are."""
    return SignedRuns(clone(signed.repo, root), {name: signed.keys[name] for name in who})


def published(signed: SignedRuns, branch: str) -> None:
    signed.repo.git("push", "-q", "origin", f"HEAD:{branch}")


def judged(signed: SignedRuns, *args: str) -> tuple[int, str]:
    """What a clone that has nothing but git says of a branch."""
    ended = signed.repo.orchgate("check", "evidence", "configuration", *args)
    return ended.code, ended.out


def test_ci_signs_on_its_machine_and_a_fork_cannot(
    signed: SignedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.repo.git("checkout", "-q", "-b", "elsewhere")
    ci, fork = (as_in(signed, tmp_path / name, name) for name in ("ci", "eve"))
    for one in (ci, fork):
        one.repo.git("checkout", "-q", "-b", "work", "origin/main")
        one.repo.stage("src/b.py", "y = 1\n")
        run = one.run()
        one.claim(run)
        one.sign(run, next(iter(one.keys)))
        one.repo.commit("claim")
        published(one, f"work-of-{next(iter(one.keys))}")
    reviewer = as_in(signed, tmp_path / "reviewer")

    answers = {}
    for name in ("ci", "eve"):
        reviewer.repo.git("checkout", "-q", f"work-of-{name}")
        answers[name] = judged(reviewer, "--base", "origin/main", "--head", "HEAD")

    assert answers["ci"][0] == 0, answers["ci"]
    assert answers["eve"][0] == 1
    assert "is of a key that no signer has" in answers["eve"][1]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert judged(reviewer, "--all-files")[0] == 1
    ended = reviewer.repo.orchgate("check", "--base", "origin/main", "--head", "origin/work-of-ci", "evidence")
    assert ended.code == 0, ended.out


def test_branches_that_each_sign_a_run_are_merged(signed: SignedRuns) -> None:
    start = signed.repo.git("rev-parse", "HEAD")
    for name in ("one", "two"):
        signed.repo.git("checkout", "-q", "-b", name, start)
        run = signed.run()
        signed.claim(run, path=f"docs/{name}.md")
        signed.sign(run)
        signed.repo.commit(name)
    signed.repo.git("checkout", "-q", "main")
    signed.repo.git("merge", "-q", "--no-edit", "one")
    signed.repo.git("merge", "-q", "--no-edit", "two")

    code, out = judged(signed, "--base", start, "--head", "HEAD")

    assert code == 0, out


def test_branches_that_sign_one_run_are_merged(signed: SignedRuns) -> None:
    run = signed.run()
    signed.claim(run)
    signed.repo.git("checkout", "-q", "-b", "claims")
    signed.repo.commit("claimed, and not yet signed")
    for name in ("ci", "ann"):
        signed.repo.git("checkout", "-q", "-b", name, "claims")
        signed.sign(run, name)
        signed.repo.commit(name)
    signed.repo.git("merge", "-q", "--no-edit", "ci")

    code, out = judged(signed, "--base", "main", "--head", "HEAD")

    assert code == 0, out
    assert len((signed.repo.root / signed_runs.signatures_of(run)).read_text().splitlines()) == 2


def test_a_squash_with_the_tree_that_was_run_keeps_the_signature(signed: SignedRuns) -> None:
    signed.repo.git("checkout", "-q", "-b", "work")
    signed.repo.commit("one", {"src/b.py": "y = 1\n"})
    signed.repo.commit("two", {"src/c.py": "z = 1\n"})
    run = signed.run()
    signed.claim(run)
    signed.sign(run)
    signed.repo.commit("claim")
    signed.repo.git("checkout", "-q", "main")
    signed.repo.git("merge", "-q", "--squash", "work")
    signed.repo.commit("squashed")

    assert judged(signed, "--base", "HEAD^", "--head", "HEAD")[0] == 0


def test_a_push_is_judged_by_the_signers_of_the_branch_it_is_for(signed: SignedRuns, tmp_path: Path) -> None:
    signed.repo.git("checkout", "-q", "-b", "elsewhere")
    eve = as_in(signed, tmp_path / "eve", "eve")
    eve.repo.git("checkout", "-q", "main")
    eve.repo.commit("in", {ALLOWED: signed_runs.allowed(signed.keys) + signed.keys["eve"].signer("ci@eve.example")})
    run = eve.run()
    eve.claim(run)
    eve.sign(run, "eve")
    eve.repo.commit("claim")
    head, there = eve.repo.git("rev-parse", "HEAD", "origin/main").split()
    line = f"refs/heads/main {head} refs/heads/main {there}\n"

    ended = subprocess.run(
        [ORCHGATE, "hook", "pre-push", "origin", str(signed.repo.root)],
        cwd=eve.repo.root,
        input=line.encode(),
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert b"is of a key that no signer has" in ended.stdout + ended.stderr
    assert b"CFG001" in ended.stdout + ended.stderr
