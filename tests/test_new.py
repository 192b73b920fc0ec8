"""`orchgate new`: what it writes, what it refuses, and what the gate says of it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from orchgate.checks import documents
from orchgate.cli import main
from orchgate.commands.new.command import TEMPLATES, filled, plan_packet
from orchgate.commands.new.packet import write
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.markdown.document import Document
from orchgate.model import Severity
from tests.support import folder_context, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

SETTINGS = build(Source("", {})).documents
FILES = {
    "docs/PRD-faster-start.md",
    "docs/TECH_SPEC-faster-start.md",
    "docs/ACTION_PLAN-faster-start.md",
    "tasks/tasks-0001-faster-start.md",
}
OWED = [
    ("docs/ACTION_PLAN-faster-start.md", "section 'Concrete Steps' is empty"),
    ("docs/ACTION_PLAN-faster-start.md", "section 'Idempotence and Recovery' is empty"),
    ("docs/PRD-faster-start.md", "section 'Summary' is empty"),
    ("docs/PRD-faster-start.md", "section 'Goals' is empty"),
    ("docs/PRD-faster-start.md", "section 'Non-Goals' is empty"),
    ("docs/PRD-faster-start.md", "section 'Metrics & Guardrails' is empty"),
    ("docs/TECH_SPEC-faster-start.md", "section 'Overview' is empty"),
    ("docs/TECH_SPEC-faster-start.md", "section 'Design' is empty"),
    ("docs/TECH_SPEC-faster-start.md", "section 'Testing Strategy' is empty"),
    ("docs/TECH_SPEC-faster-start.md", "section 'Validation and Acceptance' is empty"),
]


def tree(root: Path) -> set[str]:
    found = (path.relative_to(root) for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path) for path in found if path.parts[0] != ".git"}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_has_the_sections_that_are_required_of_it(kind: str) -> None:
    template = Document(kind, files.read_data("templates", TEMPLATES[kind]).encode())

    sections = tuple(heading.title for heading in template.headings if heading.level == 2)

    assert sections == SETTINGS.sections[kind]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_leaves_no_field_unfilled(kind: str) -> None:
    fields = {"title": "T", "task": "0001-x", "slug": "x", "date": "2026-03-01", **dict.fromkeys(TEMPLATES, "p")}

    assert not re.search(r"[{}]", filled(files.read_data("templates", TEMPLATES[kind]), fields))


def test_a_title_may_look_like_a_field() -> None:
    assert filled("# {title} {task}", {"title": "{task}", "task": "0001-x"}) == "# {task} 0001-x"


def test_it_writes_every_required_document(repo: Repo) -> None:
    assert (main(["new", "faster-start"]), tree(repo.root)) == (0, FILES)


def test_it_says_what_it_wrote_and_what_comes_next(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", "faster-start"])

    lines = capsys.readouterr().out.splitlines()

    assert {line.removeprefix("wrote ") for line in lines[:4]} == FILES
    assert lines[-1].endswith("&& orchgate check documents")


@pytest.mark.slow
def test_a_fresh_packet_may_be_committed(repo: Repo) -> None:
    main(["new", "faster-start"])
    repo.git("add", "-A")

    assert repo.report("--staged")["verdict"] == "warn"


@pytest.mark.slow
def test_a_fresh_packet_is_told_exactly_what_is_owed(repo: Repo) -> None:
    main(["new", "faster-start"])
    repo.git("add", "-A")

    diagnostics = repo.report("--staged")["diagnostics"]

    assert [(item["path"], item["message"]) for item in diagnostics] == OWED


@pytest.mark.slow
def test_a_mini_spec_owes_its_own_sections(repo: Repo) -> None:
    main(["new", "faster-start", "--mini-spec"])
    repo.git("add", "-A")

    owed = [item["message"] for item in repo.report("--staged")["diagnostics"] if "specs" in item["path"]]

    assert owed == [f"section {title!r} is empty" for title in ("Summary", "Proposed Changes", "Testing")]


def test_a_packet_finished_with_the_same_gaps_fails(repo: Repo) -> None:
    repo.write("tasks/index.json", '{"items": []}')
    main(["new", "faster-start"])
    index = repo.root / "tasks/index.json"
    index.write_text(
        index.read_text().replace('"status": "in-progress",\n      "gate"', '"status": "done",\n      "gate"')
    )

    findings = documents.CHECK.run(folder_context(repo.root)).findings

    assert {(finding.rule, finding.severity) for finding in findings} == {
        ("DOC003", Severity.ERROR),
        ("DOC004", Severity.ERROR),
        ("DOC006", Severity.ERROR),
    }


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ({}, "0001"),
        ({"tasks/tasks-0007-old.md": ""}, "0008"),
        ({"tasks/specs/0041-old.md": ""}, "0042"),
        ({"tasks/index.json": '[{"id": "0107", "slug": "old"}]'}, "0108"),
        ({"tasks/tasks-20260301-old.md": "", "tasks/tasks-linear-9999.md": ""}, "0001"),
        ({"tasks/tasks-9999-old.md": ""}, "10000"),
    ],
)
def test_the_task_gets_the_next_free_number(tmp_path: Path, existing: dict[str, str], expected: str) -> None:
    plan = plan_packet(str(write_tree(tmp_path, existing)), SETTINGS, "faster-start", "", "")

    assert plan.task == f"{expected}-faster-start"


@pytest.mark.parametrize(
    ("task", "name"),
    [("0939", "0939-x"), ("0939-x", "0939-x"), ("x", "x"), ("PROJ-12", "PROJ-12-x")],
)
def test_the_task_may_be_given_with_or_without_the_slug(tmp_path: Path, task: str, name: str) -> None:
    assert plan_packet(str(tmp_path), SETTINGS, "x", task, "").task == name


def test_the_task_is_added_to_the_list(repo: Repo) -> None:
    repo.write("tasks/index.json", '{\n  "items": [\n    {"id": "0006", "slug": "old"}\n  ]\n}\n')

    main(["new", "faster-start", "--title", "Start faster"])

    entry = json.loads((repo.root / "tasks/index.json").read_text())["items"][1]
    assert (entry["id"], entry["slug"], entry["title"], entry["path"]) == (
        "0007",
        "faster-start",
        "Start faster",
        "tasks/tasks-0007-faster-start.md",
    )


def test_it_writes_from_the_top_level_wherever_it_is_started(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write("a/b/c.txt")
    monkeypatch.chdir(repo.root / "a/b")

    main(["new", "faster-start"])

    assert tree(repo.root) == FILES | {"a/b/c.txt"}


def test_documents_are_written_where_the_configuration_says(repo: Repo) -> None:
    repo.write("orchgate.toml", '[documents]\npackets = "rfc/{task}/prd.md"\nrequired = ["prd"]\n')

    main(["new", "faster-start"])

    assert tree(repo.root) == {"orchgate.toml", "rfc/0001-faster-start/prd.md"}


def test_a_dry_run_writes_nothing(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", "faster-start", "--dry-run"])

    assert (tree(repo.root), capsys.readouterr().out.count("would write")) == (set(), 4)


@pytest.mark.parametrize("path", sorted(FILES))
def test_an_existing_document_is_never_overwritten(repo: Repo, capsys: pytest.CaptureFixture[str], path: str) -> None:
    repo.write(path, "mine\n")

    code = main(["new", "faster-start", "--task", "0001"])

    assert (code, tree(repo.root), (repo.root / path).read_text()) == (3, {path}, "mine\n")
    assert f"{path} already exists" in capsys.readouterr().err


def test_a_dangling_link_is_an_existing_document(repo: Repo) -> None:
    (repo.root / "docs").mkdir()
    (repo.root / "docs/PRD-faster-start.md").symlink_to("nowhere")

    assert (main(["new", "faster-start"]), tree(repo.root)) == (3, {"docs/PRD-faster-start.md"})


def test_a_task_is_listed_once(repo: Repo) -> None:
    repo.write("tasks/index.json", '[{"id": "0007", "slug": "faster-start"}]')

    assert (main(["new", "faster-start", "--task", "0007"]), tree(repo.root)) == (3, {"tasks/index.json"})


def test_an_unreadable_list_stops_it(repo: Repo) -> None:
    repo.write("tasks/index.json", "{")

    assert (main(["new", "faster-start"]), tree(repo.root)) == (3, {"tasks/index.json"})


@pytest.mark.parametrize(
    "slug",
    ["Faster", "faster start", "../x", "a/b", "-x", "x-", "a--b", "", ".", "a.b", "ä", "a\n", "{task}", "a" * 121],
)
def test_a_slug_is_lower_case_words(repo: Repo, slug: str) -> None:
    code = main(["new", "--", slug])

    assert (code, tree(repo.root)) == (2, set())


@pytest.mark.parametrize("task", ["../7", "a/b", "0007-", "a b", "..", "0007\n", "{slug}"])
def test_a_task_id_cannot_lead_elsewhere(repo: Repo, task: str) -> None:
    assert (main(["new", "x", f"--task={task}"]), tree(repo.root)) == (2, set())


@pytest.mark.parametrize("title", [" ", "a\nb", "\x1b[31m", "\u202e"])
def test_a_title_is_one_printable_line(repo: Repo, title: str) -> None:
    assert (main(["new", "x", f"--title={title}"]), tree(repo.root)) == (2, set())


def test_a_folder_that_leads_out_of_the_repository_is_refused(repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.root / "docs").symlink_to(outside)

    assert (main(["new", "faster-start"]), tree(outside)) == (3, set())


@pytest.mark.parametrize("folder", ["..", "/tmp", "a/../..", ".git", ".GIT", "a/git~1", ".git. "])
def test_a_pattern_that_leads_out_of_the_repository_is_refused(repo: Repo, folder: str) -> None:
    repo.write("orchgate.toml", f'[documents]\npackets = "{folder}/{{slug}}.md"\nrequired = ["prd"]\n')

    assert (main(["new", "faster-start"]) in (2, 3), tree(repo.root)) == (True, {"orchgate.toml"})


@pytest.mark.slow
def test_a_folder_linked_within_the_repository_is_fine(repo: Repo) -> None:
    (repo.root / "papers").mkdir()
    (repo.root / "docs").symlink_to("papers")

    assert (main(["new", "faster-start"]), "papers/PRD-faster-start.md" in tree(repo.root)) == (0, True)


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tasks": "a file where a folder should be\n"})
    plan = plan_packet(str(tmp_path), SETTINGS, "faster-start", "0001", "")

    with pytest.raises(OrchgateError, match="nothing was kept"):
        write(str(tmp_path), plan)

    assert sorted(os.listdir(tmp_path)) == ["tasks"]


def test_a_list_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"tasks/index.json": "[]"})
    plan = plan_packet(str(tmp_path), SETTINGS, "faster-start", "0001", "")

    def full(*_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OrchgateError, match="No space left"):
        write(str(tmp_path), plan)

    assert (tree(tmp_path), (tmp_path / "tasks/index.json").read_text()) == ({"tasks/index.json"}, "[]")


def test_outside_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert (main(["new", "faster-start"]), tree(tmp_path)) == (3, set())


def test_a_bare_repository_has_no_place_for_it(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.git("init", "--quiet", "--bare", str(tmp_path / "bare"))
    monkeypatch.chdir(tmp_path / "bare")

    assert main(["new", "faster-start"]) == 3
