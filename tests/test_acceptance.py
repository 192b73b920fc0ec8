"""`accept:`: items that name the command which proves them, its runs, and what the gate makes of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.acceptance.clauses import accepted_items, title_of
from orchgate.acceptance.commands import LONGEST, why_unusable
from orchgate.acceptance.proof import Proof, ProofState
from orchgate.acceptance.writing import with_proofs
from orchgate.cli import main
from orchgate.errors import OrchgateError
from orchgate.evidence.facts import facts_of
from orchgate.evidence.lock import LockError, Pinned, RunFacts, line_of, parse, render
from orchgate.markdown.document import Document
from orchgate.runs.run import from_manifest
from tests.manifest_samples import own
from tests.published import closed
from tests.support import checked

if TYPE_CHECKING:
    from tests.repo import Repo

MANIFEST = ".runs/0007-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json"
COMMAND = "pytest -q tests/x"


def commands(text: str) -> list[tuple[str, str]]:
    return [(item.title, item.command) for item in accepted_items(Document("tasks/a.md", text.encode()))]


@pytest.mark.parametrize(
    "written",
    [
        "- [ ] Import works — accept: `pytest -q tests/x`",
        "- [x] Import works - accept: `pytest -q tests/x`.",
        "- [ ] Import works. Accept: `pytest -q tests/x`",
        "* [ ] Import works – **Accept:** `pytest -q tests/x`",  # noqa: RUF001
        "1. [ ] Import works -- **accept**: `pytest -q tests/x`",
        "- [ ] Import works (accept: `pytest -q tests/x`)",
        "- [ ] Import works (`accept: pytest -q tests/x`).",
        "- [ ] Import works `accept: pytest -q tests/x`",
        "- [ ] Import works — accept: pytest -q tests/x",
        "- [ ] Import works — accept: pytest -q tests/x.",
        "- [ ] Import works — accept: `$ pytest -q tests/x`",
        "- [ ] Import works\n  accept: `pytest -q tests/x`",
        "- [ ] Import works\n  - accept: `pytest -q tests/x`",
        "- [ ] Import works\n\n  _accept:_ ``pytest -q tests/x``",
        "- [ ] Import works — accept: `pytest -q\n  tests/x`",
        "- [ ] Import works — Evidence: `a.json` — accept: `pytest -q tests/x`",
        "- [x] Import works — accept: `pytest -q tests/x` — Evidence: `a.json`",
        "- [x] Import works — accept: `pytest -q tests/x`; evidence: `a.json`",
        "- [x] Import works — accept: pytest -q tests/x — Evidence: `a.json`",
        "> - [ ] Import works — accept: `pytest -q tests/x`",
        "- [x] Import works — accept: `pytest -q tests/x` ✅",
        "- [x] Import works — accept: `pytest -q tests/x` (✓)",
        "- [x] Import works — accept: `pytest -q tests/x` <!-- as agreed -->",
        "- [x] Import works — accept: pytest -q tests/x <!-- as agreed -->",
        "#### Import works\n\n- **WHEN** it is imported\n- **Accept:** `pytest -q tests/x`",
        "## Import works\n\nAccept: `pytest -q tests/x`\n\n## Else\n",
        "## Scenarios\n\n1. Import works\n   - Accept: `pytest -q tests/x`\n",
    ],
)
def test_an_item_names_its_command_in_the_ways_that_people_write(written: str) -> None:
    assert commands(f"# Tasks\n\n{written}\n") == [("Import works", COMMAND)]


@pytest.mark.parametrize(
    "written",
    [
        "- [ ] Import works — accept: `npm run build` ok, contrast numbers in doc",
        "- [ ] Import works — accept: no hard-coded colours",
        "- [ ] Import works — accept: npm run build passes",
        "- [ ] Import works — accept: make sure the build passes",
        "- [ ] Headers\n  - Accept: `application/json`",
        '- [ ] Input takes images — accept: `".jpg,.png"`',
        "- [ ] Version — accept: `^4\\.0\\.\\d+$`",
        "- [ ] Config says `accept: true`",
        "- [ ] The command should accept: `json`",
        "- [ ] Empty — accept:",
        "- [ ] Two — accept: `make a`, `make b`",
        "- [ ] ACCEPT: shared contracts cover it",
        "- [ ] Acceptance: `make a`",
        "- [ ] Fenced\n  ```\n  accept: `make a`\n  ```",
        "- [ ] Remark <!-- accept: `make a` -->",
        "- [ ] Quoted `x — accept: make a`",
        "Which browsers accept: `*/*`",
    ],
)
def test_prose_and_values_are_no_commands(written: str) -> None:
    assert [command for _, command in commands(f"# Tasks\n\n{written}\n") if command] == []


def test_what_is_near_is_named_and_what_is_elsewhere_is_not() -> None:
    text = "- [ ] One accept: `make test`\n- [ ] One accept: make test\n- [ ] Two — accept: words\n\nAccept: words\n"

    found = [item.problem for item in accepted_items(Document("a.md", text.encode()))]

    assert found == [
        "it is in the middle of a sentence: put a dash in front of it",
        "it is in the middle of a sentence: put a dash in front of it",
        "words, no command in backticks",
    ]


def test_a_script_named_after_evidence_is_part_of_its_command() -> None:
    text = "- [ ] One — accept: npm run test:unit\n- [ ] Two — accept: make run out:3 — Run: `a.json`\n"

    assert commands(text) == [("One", "npm run test:unit"), ("Two", "make run out:3")]


def test_of_two_clauses_on_a_line_both_are_held_to() -> None:
    text = (
        "- [x] One — accept: `make a`; accept: `make b` — Evidence: `a.json`\n"
        "- [x] Two `accept: pytest x`, `accept: pytest b`\n"
    )

    assert commands(text) == [("One", "make a"), ("One", "make b"), ("Two", "pytest x"), ("Two", "pytest b")]


@pytest.mark.parametrize("end", ["\\", "&&", "||", "|"])
def test_half_a_command_is_none(end: str) -> None:
    text = f"- [ ] One — accept: make a {end}\n  make b\n"

    (found,) = accepted_items(Document("a.md", text.encode()))

    assert (found.command, found.problem) == ("", "it goes on behind its line: put all of it into backticks")


@pytest.mark.parametrize("title", ["Run the importer: it works", "Proof of concept: builds", "Evidence: is kept"])
def test_an_item_may_begin_with_a_word_of_evidence(title: str) -> None:
    text = f"- [x] {title} — accept: `make a` — Evidence: `a.json`\n"

    assert commands(text) == [(title, "make a")]


def test_a_clause_belongs_to_the_innermost_box() -> None:
    text = "- [ ] Outer\n  - [x] Inner\n    - more\n      - accept: `make a`\n  - accept: `make b`\n"

    assert commands(text) == [("Inner", "make a"), ("Outer", "make b")]


def test_a_tick_and_evidence_make_no_other_item() -> None:
    assert title_of("Import works — accept: `make a` — Evidence: `b`") == title_of("Import works. Evidence: `b`")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "- [ ] a\n" * 20_000 + "- [ ] accept: `make a`\n" * 20_000,
        "- [ ] a\n" + "  accept: `make a`\n" * 20_000,
        "- [ ] a " + "; accept: `make a`" * 20_000,
        "- [ ] a " + "; accept: make a" * 20_000,
        "- [ ] a " + "accept: " * 40_000,
        "- [ ] a " + "`accept: make " * 20_000,
        "".join(f"{' ' * depth}- accept: `make a`\n" for depth in range(900)),
    ],
)
def test_a_hostile_document_takes_no_longer_than_its_length(text: str) -> None:
    commands(text)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (COMMAND, ""),
        ("cd src && make", ""),
        ("! grep -rn print( src", ""),
        ("[ -f x ]", ""),
        ("go test ./...", ""),
        ("diff <(sort a) <(sort b)", ""),
        ("FOO=1 ./run.sh > out.txt", ""),
        ("! grep -rn TODO src", ""),
        ("grep -q '<title>' index.html && git grep -q '{{ name }}'", ""),
        ("set -e; pytest -q; echo done", ""),
        ("if grep -q x a; then exit 1; fi; echo ok", ""),
        ("pytest -q && echo ok", ""),
        ("pytest -q | grep -q ' 3 passed'", ""),
        ("bash -o pipefail -c 'pytest -q | tail -5'", ""),
        ("pytest -q | tail -5", "ends as tail does"),
        ("cd src && pytest -q 2>&1 | tee log.txt", "ends as tee does"),
        ("pytest -q || echo failed", "succeeds whatever holds"),
        ("pytest -q; echo done", "succeeds whatever holds"),
        ("(pytest -q; true)", "succeeds whatever holds"),
        ("{ pytest -q; true; }", "succeeds whatever holds"),
        ("pytest -q || true # for now", "succeeds whatever holds"),
        ("/bin/true", "succeeds whatever holds"),
        ("env FOO=1 true", "succeeds whatever holds"),
        ("bash -c 'exit 0'", "succeeds whatever holds"),
        ("true", "succeeds whatever holds"),
        ("echo done", "succeeds whatever holds"),
        ("pytest -q || true", "succeeds whatever holds"),
        ("pytest -q; exit 0", "succeeds whatever holds"),
        ("pytest -q &", "succeeds whatever holds"),
        ("pytest -q <file>", "placeholder"),
        ("pytest -q TODO", "placeholder"),
        ("pytest {{ path }}", "placeholder"),
        ("git commit", "opens an editor"),
        ("npm init", "asks"),
        ("x" * (LONGEST + 1), "characters long"),
        ("a\0b", "character that cannot"),
        ("a\udcff", "character that cannot"),
    ],
)
def test_commands_that_prove_nothing_or_wait_are_named(command: str, why: str) -> None:
    found = why_unusable(command)

    assert why in found
    assert bool(why) == bool(found)


def proven(text: str, *, cited: bool = False, stale: tuple[str, ...] = ()) -> list[Proof]:
    document = Document("tasks/a.md", text.encode())
    return [Proof(document, item, ProofState.PROVEN, MANIFEST, cited, stale) for item in accepted_items(document)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- [ ] A — accept: `make a`\n- [ ] B\n", f"- [x] A — accept: `make a` — Evidence: `{MANIFEST}`\n- [ ] B\n"),
        ("- [ ] A (accept: `make a`).  \r\n", f"- [x] A (accept: `make a`) — Evidence: `{MANIFEST}`\r\n"),
        ("- [ ] A\n  - accept: `make a`\n", f"- [x] A\n  - accept: `make a` — Evidence: `{MANIFEST}`\n"),
        ("1. [ ] A\n   Accept: `make a`", f"1. [x] A\n   Accept: `make a` — Evidence: `{MANIFEST}`"),
        ("\ufeff- [ ] A — accept: `make a`\n", f"\ufeff- [x] A — accept: `make a` — Evidence: `{MANIFEST}`\n"),
        ("## A\n\nAccept: `make a`\n", f"## A\n\nAccept: `make a` — Evidence: `{MANIFEST}`\n"),
    ],
)
def test_a_proven_item_is_ticked_and_names_its_run_and_nothing_else_changes(before: str, after: str) -> None:
    proofs = proven(before)

    edit = with_proofs(proofs[0].document, before.encode(), proofs)

    assert edit is not None
    assert edit.text == after


def test_an_older_run_of_the_item_is_replaced() -> None:
    old = MANIFEST.replace("c2f9cb47", "00000000")
    text = f"- [x] A — accept: `make a`\n  - Evidence: `{old}`\n"
    proofs = proven(text, stale=(old,))

    edit = with_proofs(proofs[0].document, text.encode(), proofs)

    assert edit is not None
    assert edit.text == text.replace(old, MANIFEST)


def test_an_item_with_something_left_to_prove_stays_open() -> None:
    text = "- [ ] A — accept: `make a`\n  - accept: `make b`\n"
    first, second = proven(text)

    edit = with_proofs(first.document, text.encode(), [first, second._replace(state=ProofState.FAILED)])

    assert edit is not None
    assert [line for _, line in edit.lines] == [f"- [ ] A — accept: `make a` — Evidence: `{MANIFEST}`"]


def test_lines_that_cannot_be_told_apart_are_left_alone() -> None:
    text = "- [ ] A — accept: `make a`\rmore\n"
    proofs = proven(text)

    with pytest.raises(OrchgateError, match="line ends"):
        with_proofs(proofs[0].document, text.encode(), proofs)


ACCEPTS = {"document": "tasks/a.md", "item": "A", "command": "make a"}


def test_a_pin_says_what_its_run_was_to_prove_and_older_pins_stay_as_they_are() -> None:
    facts = facts_of(from_manifest(own(accepts=ACCEPTS)))
    pin = Pinned(MANIFEST, "0" * 64, 1, facts)

    assert facts.accepts == ACCEPTS
    assert parse(render([pin])).get(MANIFEST) == pin
    assert b"accepts" not in line_of(Pinned(MANIFEST, "0" * 64, 1, RunFacts("t")))


@pytest.mark.parametrize("value", [1, {"command": "a"}, {**ACCEPTS, "item": 1}, {**ACCEPTS, "more": "x"}])
def test_a_pin_that_says_something_else_is_refused(value: object) -> None:
    line = {"path": MANIFEST, "sha256": "0" * 64, "size": 1, "run": {"accepts": value}}

    with pytest.raises(LockError, match=r"run\.accepts"):
        parse(b'{"evidence-lock": 1}\n' + json.dumps(line).encode())


def test_only_our_own_manifests_say_what_they_prove_and_only_as_a_whole() -> None:
    assert facts_of(from_manifest(own(accepts=ACCEPTS, format="other"))).accepts == {}
    assert facts_of(from_manifest(own(accepts={**ACCEPTS, "command": "x" * 1_001}))).accepts == {}


# Whole commands


TASK = "0007-faster-start"
CHECKLIST = f"tasks/tasks-{TASK}.md"
FILES = {
    "orchgate.toml": '[documents]\nrequired = ["prd", "checklist"]\nrequired-sections.prd = ["Goals"]\n'
    "required-sections.checklist = []\n",
    ".gitignore": "/.runs/\n",
    "docs/PRD-faster-start.md": "# PRD\n\n- Status: Draft\n\n## Goals\n\nFaster.\n\n## Approvals\n\n- Product: Jo, "
    "2026-02-14\n",
    "src/m.py": "x = 1\n",
}
ITEMS = "# Tasks\n\n- [ ] There — accept: `test -f src/m.py`\n- [ ] Says two — accept: `grep -q 2 src/m.py`\n"


@pytest.fixture
def task(repo: Repo) -> Repo:
    repo.commit("begin", {**FILES, CHECKLIST: ITEMS})
    os.chdir(repo.root)
    return repo


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["tasks", *args, "--output-format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, closed("tasks"))
    return found


def states(found: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(one["state"], one["cited"]) for one in found["acceptance"]]


def evidence_rules() -> list[tuple[str, str]]:
    return [(one["rule"], one["severity"]) for one in checked("evidence", "--staged")["diagnostics"]]


def runs_of(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(repo.root.glob(f".runs/{TASK}/cli/*/manifest.json"))]


@pytest.mark.slow
def test_commands_run_are_recorded_as_runs_of_their_items_and_cited(
    task: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", "check", TASK, "--no-run"]) == 1
    assert runs_of(task) == []
    capsys.readouterr()

    assert main(["tasks", "check", TASK]) == 1

    said = capsys.readouterr().out
    assert said.startswith("runs 2 commands that the documents name:\n  test -f src/m.py\n  grep -q 2 src/m.py\n")
    assert "proven, not written yet" in said
    accepted = [(one["pipeline_id"], one["status"], one["accepts"]["item"]) for one in runs_of(task)]
    assert accepted == [("accept", "succeeded", "There"), ("accept", "failed", "Says two")]

    task.stage("src/m.py", "x = 2\n")
    assert main(["tasks", "check", TASK, "--write"]) == 1
    said = capsys.readouterr().out
    assert (said.count(": ticked, not staged: "), "not ticked" in said) == (2, False)
    assert len(runs_of(task)) == 4  # what was proven on the other tree, and what failed
    task.git("add", ".")
    assert states(shown(capsys, "check", TASK)) == [("proven", True), ("proven", True)]
    assert len(runs_of(task)) == 4  # answered from the record
    assert evidence_rules() == []
    assert main(["tasks", "close", TASK]) == 0


@pytest.mark.slow
def test_a_task_is_not_closed_while_an_item_is_unproven(task: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    task.stage("src/m.py", "x = 2\n")
    main(["tasks", "check", TASK, "--write"])
    task.git("add", ".")
    task.git("commit", "-qm", "proven")
    task.stage("src/m.py", "x = 22\n")

    assert main(["tasks", "close", TASK]) == 1
    owed = shown(capsys, "check", TASK, "--no-run")["tasks"][0]["owes"]
    assert [one["rule"] for one in owed] == ["EVD016", "EVD016"]
    assert "src/m.py differs" in owed[0]["message"]


@pytest.mark.slow
def test_a_rewritten_command_is_a_claim_of_its_own(task: Repo) -> None:
    task.stage("src/m.py", "x = 2\n")
    main(["tasks", "check", TASK, "--write"])
    task.git("add", ".")
    assert evidence_rules() == []
    task.git("commit", "-qm", "proven")
    text = (task.root / CHECKLIST).read_text()

    task.stage(CHECKLIST, text.replace("grep -q 2 src/m.py", "grep -q '' src/m.py"))
    assert sorted(evidence_rules()) == [("EVD016", "error"), ("EVD016", "warning")]

    task.stage(CHECKLIST, text.replace(" — accept: `grep -q 2 src/m.py`", ""))
    assert evidence_rules() == [("EVD016", "error")]


@pytest.mark.slow
def test_a_command_is_not_taken_away_by_other_words_or_another_place(task: Repo) -> None:
    task.stage("src/m.py", "x = 2\n")
    main(["tasks", "check", TASK, "--write"])
    task.git("add", ".")
    task.git("commit", "-qm", "proven")
    text = (task.root / CHECKLIST).read_text()
    line = text.splitlines()[3]
    said = " — accept: `grep -q 2 src/m.py`"

    def rules(new: str, other: str = "# PRD\n") -> list[tuple[str, str]]:
        prd = (task.root / "docs/PRD-faster-start.md").read_text().partition("\n\n- [x]")[0]
        task.stage(CHECKLIST, text.replace(line, new) if new else text.replace(f"{line}\n", ""))
        task.stage("docs/PRD-faster-start.md", f"{prd}\n\n{other}" if other.startswith("- [x]") else prd)
        return [one for one in evidence_rules() if one[0] == "EVD016"]

    evidence = line[line.index(" — Evidence") :]
    assert rules(line.replace(said, " <!-- was: accept: `grep -q 2 src/m.py` -->")) == [("EVD016", "error")]
    assert rules(f"- [x] **Says two.**{evidence}") == [("EVD016", "error")]
    assert rules(f"- [x] Whatever it says{evidence}") == [("EVD016", "error")]
    assert rules(line.replace("accept", "ACCEPT")) == [("EVD016", "error")]
    assert rules("- [x] It says two") == [("EVD016", "warning")]
    assert rules("", "- [x] Says two\n") == [("EVD016", "error")]
    assert rules("") == []
    assert rules("- [ ] Says two") == []
    assert rules(f"{line}\n- [x] Written down{evidence}") == []


@pytest.mark.slow
def test_a_clone_judges_by_the_pins(task: Repo) -> None:
    task.write("src/m.py", "x = 2\n")
    task.git("add", ".")
    main(["tasks", "check", TASK, "--write"])
    task.git("add", ".")
    assert main(["evidence", "pin", "--task", TASK]) == 0
    task.git("add", ".")
    (task.root / ".runs").rename(task.root.parent / "gone")
    assert evidence_rules() == []

    lock = (task.root / ".orchgate/evidence.lock").read_text()
    task.stage(".orchgate/evidence.lock", lock.replace("grep -q 2", "grep -q 1"))
    assert ("EVD016", "error") in evidence_rules()


@pytest.mark.slow
def test_what_runs_does_not_hang_and_does_not_run_itself(task: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    slow, itself = "cat && sleep 60", f"{sys.executable} -m orchgate tasks check 0007"
    task.stage(CHECKLIST, f"# Tasks\n\n- [ ] Slow — accept: `{slow}`\n- [ ] Itself — accept: `{itself}`\n")

    found = shown(capsys, "check", TASK, "--timeout", "2s")

    assert states(found) == [("failed", False), ("failed", False)]
    assert len(runs_of(task)) == 2


@pytest.mark.slow
def test_edits_that_are_not_staged_are_in_the_way_of_writing(task: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tasks", "check", TASK])
    task.write(CHECKLIST, ITEMS + "\nMore.\n")
    before = (task.root / CHECKLIST).read_text()
    capsys.readouterr()

    assert main(["tasks", "check", TASK, "--write"]) == 3
    assert "not staged" in capsys.readouterr().err
    assert (task.root / CHECKLIST).read_text() == before


@pytest.mark.slow
def test_scenarios_beside_an_openspec_change_are_run(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    folder = "openspec/changes/add-login"
    scenario = "## ADDED Requirements\n\n#### Scenario: Login\n\n- **WHEN** x\n- **Accept:** `test -f src/m.py`\n"
    files = {
        "orchgate.toml": 'profile = "openspec"\n',
        f"{folder}/proposal.md": "## Why\n\nx\n\n## What Changes\n\ny\n",
        f"{folder}/tasks.md": "- [ ] 1.1 Do it — accept: `test -f src/m.py`\n",
        f"{folder}/specs/auth/spec.md": scenario,
        "src/m.py": "x = 1\n",
        ".gitignore": "/.runs/\n",
    }
    repo.commit("begin", files)
    os.chdir(repo.root)

    found = shown(capsys, "check", "add-login", "--write")

    assert [(one["document"], one["item"], one["state"]) for one in found["acceptance"]] == [
        (f"{folder}/tasks.md", "1.1 Do it", "proven"),
        (f"{folder}/specs/auth/spec.md", "Scenario: Login", "proven"),
    ]
    assert found["ticked_documents"] == [f"{folder}/tasks.md", f"{folder}/specs/auth/spec.md"]


@pytest.mark.slow
def test_a_scenario_of_a_finished_change_is_held_to_its_command(repo: Repo) -> None:
    folder = "openspec/changes/add-login"
    scenario = "## ADDED Requirements\n\n#### Scenario: Login\n\n- **WHEN** x\n- **Accept:** `test -f src/m.py`\n"
    files = {
        "orchgate.toml": 'profile = "openspec"\n',
        f"{folder}/proposal.md": "## Why\n\nx\n\n## What Changes\n\ny\n",
        f"{folder}/tasks.md": "- [ ] 1.1 Do it\n",
        f"{folder}/specs/auth/spec.md": scenario,
        "docs/other/spec.md": scenario,
    }
    repo.commit("begin", files)
    os.chdir(repo.root)
    repo.stage("docs/other/spec.md", scenario + "\nMore.\n")
    repo.stage(f"{folder}/specs/auth/spec.md", scenario + "\nMore.\n")
    assert evidence_rules() == []

    repo.stage(f"{folder}/tasks.md", "- [x] 1.1 Do it `x`\n")
    assert evidence_rules() == [("EVD016", "error")]


@pytest.mark.slow
def test_what_is_known_of_a_document_is_no_longer_once_its_run_says_something_else(task: Repo) -> None:
    def refused() -> list[str]:
        return [one["rule"] for one in checked("evidence", "--all-files")["diagnostics"] if one["rule"] == "EVD016"]

    task.stage("src/m.py", "x = 2\n")
    main(["tasks", "check", TASK, "--write"])
    task.git("add", ".")
    task.git("commit", "-qm", "proven")
    assert [refused(), refused()] == [[], []]
    folder = min((task.root / ".runs" / TASK / "cli").iterdir())

    for name in ("manifest.json", "events.jsonl"):
        written = (folder / name).read_text()
        (folder / name).write_text(written.replace("test -f src", "test -e src"))

    assert refused() == ["EVD016"]


@pytest.mark.slow
def test_the_proof_of_an_item_is_run_anew_and_not_resumed(task: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tasks", "check", TASK])
    capsys.readouterr()

    assert main(["resume", "latest"]) == 3
    assert f"orchgate tasks check {TASK}" in capsys.readouterr().err


@pytest.mark.slow
def test_an_open_item_beside_the_checklist_keeps_a_task_open(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "orchgate.toml": 'profile = "spec-kit"\n[documents]\nrequired = []\n',
        "specs/001-demo/tasks.md": "- [x] T001 Done `x`\n",
        "specs/001-demo/checklists/a.md": "- [ ] CHK001 All is clear — accept: `test -f gone`\n",
    }
    repo.commit("begin", files)
    os.chdir(repo.root)

    assert main(["tasks", "close", "001-demo"]) == 1
    assert [one["rule"] for one in shown(capsys, "check", "001-demo")["tasks"][0]["owes"]][-1:] == ["EVD016"]


@pytest.mark.slow
def test_whoever_cancels_a_command_cancels_those_behind_it(task: Repo) -> None:
    stop = "while kill -INT $PPID; do sleep 1; done"
    task.stage(CHECKLIST, f"# Tasks\n\n- [ ] Stopped — accept: `{stop}`\n- [ ] Next — accept: `test -f src/m.py`\n")

    ended = subprocess.run(
        [sys.executable, "-m", "orchgate", "tasks", "check", TASK], cwd=task.root, capture_output=True, check=False
    )

    assert ended.returncode == 130
    assert [(one["status"], one["accepts"]["item"]) for one in runs_of(task)] == [("cancelled", "Stopped")]
    assert b"was cancelled" in ended.stdout
    assert b"`test -f src/m.py` was never run" in ended.stdout
