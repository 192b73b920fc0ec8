"""Of a whole tree that was judged before, what rests on nothing that is otherwise is not judged again."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.checks import documents as documents_check
from orchgate.cli import main
from orchgate.evidence.reference_checks import ReferenceChecks
from orchgate.gate import asked
from orchgate.gate.context import Context
from orchgate.gate.whole import parts
from orchgate.gate.whole.kept_parts import KIND
from orchgate.lib.cache import Cache
from tests.test_parts import BEFORE, CHANGES, ITEM, OTHER, RUN, tasks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchgate.packets.layout import Packet
    from tests.repo import Repo

MANIFEST = f".runs/0001-slim/cli/{RUN}/manifest.json"


def said(*args: str) -> dict[str, Any]:
    """The report of the whole tree, in this process."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(["check", "--all-files", "--output-format", "json", *args])
    report: dict[str, Any] = json.loads(stream.getvalue())
    for check in report["checks"]:
        check.pop("seconds")
    return report


def rules(report: dict[str, Any]) -> list[str]:
    return [one["rule"] for one in report["diagnostics"]]


@pytest.fixture
def judged(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A tree that was judged once, of parts with one document; what was written just now counts as old."""
    monkeypatch.setattr(asked, "RACY", -(10**18))
    monkeypatch.setattr(parts, "SIZE", 1)
    repo.commit(files={**BEFORE, ".gitignore": ".runs/\n", "docs/cites.md": f"# Run\n\n- [x] passes: `{MANIFEST}`\n"})
    said()
    return repo


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that the check `evidence` judges."""
    paths: list[str] = []
    real = ReferenceChecks.findings

    def findings(self: ReferenceChecks, document: Any) -> Any:
        paths.append(document.path)
        return real(self, document)

    monkeypatch.setattr(ReferenceChecks, "findings", findings)
    return paths


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_kept_of_parts_is_what_is_said_anew(judged: Repo, change: str) -> None:
    files: Mapping[str, str | None] = CHANGES[change]
    for path in (path for path, content in files.items() if content is None):
        judged.git("rm", "-q", path)
    judged.commit(files={path: content for path, content in files.items() if content is not None})

    assert said() == said("--no-cache")

    judged.git("checkout", "-q", "HEAD~1", "--", ".")

    assert said() == said("--no-cache")


@pytest.mark.parametrize(
    ("path", "content", "rests"),
    [
        ("docs/notes.md", "# Notes\n\nother words\n", {"docs/notes.md"}),
        ("docs/guide.md", "# Guide\n", {"docs/guide.md", "docs/TECH_SPEC-slim.md"}),
        ("src/a.py", "1\n", {"docs/TECH_SPEC-slim.md"}),
        ("docs/gone.md", "# Here\n", {"docs/PRD-slim.md", "docs/notes.md", "docs/guide.md", "docs/TECH_SPEC-slim.md"}),
        ("lib/a.txt", "", {"docs/guide.md"}),  # a route of a site may lead anywhere
        ("tasks/index.json", tasks({**ITEM, "status": "completed"}), {"tasks/tasks-0001-slim.md"}),
    ],
)
def test_only_documents_that_rest_on_what_is_otherwise_are_judged(
    judged: Repo, documents: list[str], path: str, content: str, rests: set[str]
) -> None:
    judged.stage(path, content)
    report = said()

    assert set(documents) - {"docs/gone.md"} == rests

    assert report == said("--no-cache")


def test_a_packet_whose_task_has_another_place_in_the_list_is_not_judged(
    judged: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.commit(files={"tasks/tasks-0002-fast.md": "# Checklist\n", "tasks/index.json": tasks(ITEM)})
    said()
    packets: list[tuple[bool, str]] = []
    real = documents_check._case

    def case(ctx: Context, packet: Packet, *args: Any) -> Any:
        packets.append((ctx.scope.whole_tree, packet.task))  # and not that of the base
        return real(ctx, packet, *args)

    monkeypatch.setattr(documents_check, "_case", case)
    judged.stage("tasks/index.json", tasks(OTHER, ITEM))
    second = said()
    seen = {task for whole, task in packets if whole}

    assert (seen, second == said("--no-cache")) == ({"0002-fast"}, True)


def test_an_artifact_that_changes_is_looked_at_again(judged: Repo, documents: list[str]) -> None:
    judged.write(MANIFEST, json.dumps({"task_id": "0001-slim", "status": "failed"}, indent=2))
    judged.stage("docs/notes.md", "# Notes\n")
    first = said()
    seen = set(documents)
    judged.write(MANIFEST, json.dumps({"task_id": "0001-slim", "status": "FAILED"}, indent=2))
    judged.stage("docs/notes.md", "# Notes\n\nwords\n")

    assert (first != said(), said() == said("--no-cache")) == (True, True)
    assert {"docs/cites.md", "docs/notes.md"} <= seen
    assert "docs/guide.md" not in seen


def test_what_several_documents_cite_is_looked_at_again_for_each(judged: Repo) -> None:
    written = {"task_id": "0001-slim", "status": "succeeded"}
    judged.write(MANIFEST, json.dumps(written, indent=2))
    judged.commit(files={f"docs/cites-{number}.md": f"# Run\n\n- [x] passes: `{MANIFEST}`\n" for number in range(3)})
    first = said()
    judged.write(MANIFEST, json.dumps({**written, "status": "failed"}, indent=2))
    judged.stage("docs/notes.md", "# Notes\n")
    second = said()

    assert second == said("--no-cache")
    assert [rules(report).count("EVD007") for report in (first, second)] == [0, 4]


def test_a_document_with_a_comment_is_judged_each_time(judged: Repo, documents: list[str]) -> None:
    text = "# C\n\n<!-- orchgate: ignore[EVD001] old -->\n[gone](gone.md)\n"
    judged.stage("docs/comment.md", text)
    said()
    documents.clear()
    judged.stage("docs/notes.md", "# Notes\n")
    report = said()

    assert "docs/comment.md" in documents
    assert report == said("--no-cache")


def test_an_anchor_of_what_a_link_leads_to_is_looked_for_each_time(judged: Repo) -> None:
    (judged.root / "docs/linked.md").symlink_to("../src/page.txt")
    judged.stage("src/page.txt", "# Page\n")
    judged.stage("docs/reader.md", "# Reader\n\n[page](linked.md#page)\n")
    judged.git("add", ".")
    first = said()
    judged.stage("src/page.txt", "# Other\n")

    assert (said() == said("--no-cache"), first == said()) == (True, False)


def test_a_task_that_comes_makes_evidence_of_another_one(judged: Repo) -> None:
    folder = f".runs/0002-fast/cli/{RUN}"
    judged.write(f"{folder}/manifest.json", json.dumps({"task_id": "0002-fast", "status": "succeeded"}, indent=2))
    judged.commit(files={"docs/PRD-slim.md": f"# PRD\n\n- [x] passes - Evidence: `{folder}/manifest.json`\n"})
    first = said()
    judged.stage("tasks/tasks-0002-fast.md", "# Checklist\n")
    second = said()

    assert second == said("--no-cache")
    assert [any(one["rule"] == "EVD006" for one in report["diagnostics"]) for report in (first, second)] == [
        False,
        True,
    ]


def test_a_run_in_the_tree_is_read_again_where_it_changes(judged: Repo) -> None:
    path = f"runs/0001-slim/cli/{RUN}/manifest.json"
    judged.commit(
        files={
            "orchgate.toml": '[evidence]\nroots = ["runs"]\n',
            path: json.dumps({"task_id": "0001-slim", "status": "succeeded"}, indent=2),
            "docs/cites.md": f"# Run\n\n- [x] passes: `{path}`\n",
        }
    )
    first = said()
    judged.stage(path, json.dumps({"task_id": "0001-slim", "status": "failed"}, indent=2))
    second = said()

    assert second == said("--no-cache")
    assert [any(one["rule"] == "EVD007" for one in report["diagnostics"]) for report in (first, second)] == [
        False,
        True,
    ]


def test_a_packet_that_is_finished_elsewhere_owes_evidence(judged: Repo) -> None:
    judged.commit(
        files={
            "docs/PRD-slim.md": "# PRD\n\n- Evidence: `.runs/<task>/cli/<run-id>/manifest.json`\n",
            "tasks/tasks-0001-slim.md": "# Checklist\n\n- [ ] `src/a.py`\n",
        }
    )
    first = said()
    judged.stage("tasks/tasks-0001-slim.md", "# Checklist\n\n- [x] `src/a.py`\n")
    second = said()

    assert second == said("--no-cache")
    assert [any(one["rule"] == "EVD002" for one in report["diagnostics"]) for report in (first, second)] == [
        False,
        True,
    ]


def test_two_packets_that_begin_with_one_document_are_not_finished_together(judged: Repo) -> None:
    placeholder = "- Evidence: `.runs/<task>/cli/<run-id>/manifest.json`\n"
    judged.commit(
        files={
            "orchgate.toml": '[documents.paths]\nchecklist = "docs/{task}.md"\n',
            # Of the packet `both`, and the checklist of another one, which is finished.
            "docs/PRD-both.md": f"# PRD\n\n- [x] `src/a.py`\n\n{placeholder}",
            "docs/TECH_SPEC-both.md": f"# TECH_SPEC\n\n{placeholder}",
        }
    )
    first = said("evidence")
    judged.stage("docs/TECH_SPEC-both.md", f"# TECH_SPEC\n\nwords\n\n{placeholder}")
    second = said("evidence")

    assert second == said("evidence", "--no-cache")
    assert [
        [one["path"] for one in report["diagnostics"] if one["rule"] == "EVD002"] for report in (first, second)
    ] == [
        ["docs/PRD-both.md"],
        ["docs/PRD-both.md"],
    ]


def test_a_lock_decides_what_is_pinned(judged: Repo) -> None:
    folder = f".runs/0001-slim/cli/{RUN}"
    judged.write(f"{folder}/log.txt", "one\n")
    judged.commit(files={"docs/cites.md": f"# Run\n\n- [x] passes - Evidence: `{folder}/log.txt`\n"})
    first = said()
    judged.stage(".orchgate/evidence.lock", '{"evidence-lock": 1}\n')
    second = said()

    assert (second == said("--no-cache"), first == second) == (True, False)

    judged.git("rm", "-q", "--cached", ".orchgate/evidence.lock")

    assert said() == said("--no-cache")


def test_the_day_decides_whether_a_review_is_overdue(judged: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.stage("docs/PRD-slim.md", "---\nlast_review: 2026-01-11\n---\n# PRD\n")
    said()
    judged.stage("docs/notes.md", "# Notes\n")
    monkeypatch.setattr(Context, "today", datetime.date(2027, 11, 1))

    assert said() == said("--no-cache")


def test_a_packet_that_the_change_edits_is_judged_each_time(judged: Repo) -> None:
    text = "---\nlast_review: 2020-01-11\n---\n# PRD - slim\n"
    judged.commit(files={"docs/PRD-slim.md": text})
    judged.git("checkout", "-q", "-b", "work")
    judged.commit(files={"docs/PRD-slim.md": text + "\nwords\n"})
    judged.git("branch", "-f", "main")
    first = said()
    judged.git("branch", "-f", "main", "HEAD~1")
    second = said()

    assert second == said("--no-cache")
    weights = [
        [one["severity"] for one in report["diagnostics"] if one["rule"] == "DOC007"] for report in (first, second)
    ]
    assert weights == [["note"], ["error"]]

    for path in (judged.root / ".git/orchgate/cache").glob("outcome-*"):
        path.unlink()
    judged.git("branch", "-f", "main")

    assert said() == said("--no-cache")


def test_two_answers_to_one_question_are_none(tmp_path: Path) -> None:
    asking = asked.Asked(str(tmp_path), (".runs",), datetime.date(2026, 1, 1))
    first = asking.yes("is_named", ".runs")
    (tmp_path / ".runs").mkdir()

    assert (first, asking.lost) == (False, "")
    assert (asking.yes("is_named", ".runs"), asking.lost) == (True, "changed meanwhile")


def _damaged(content: bytes, how: str) -> bytes:
    head, _, names = content.partition(b"\n")
    kept = json.loads(head)
    match how:
        case "numbers":
            kept["parts"] = [[size, [[documents, ["x"]] for documents, _ in things]] for size, things in kept["parts"]]
        case "count":
            kept["parts"] = [[size, [[documents, [1]] for documents, _ in things]] for size, things in kept["parts"]]
        case "rows":
            names = names.replace(b'"error"', b'["rror"')
        case "names":
            names = names[:-1]
        case "answers":
            kept["answers"] = {"full": {"x": True}}
        case "state":
            kept["state"] = kept["state"][:2]
    return json.dumps(kept).encode() + b"\n" + names


@pytest.mark.parametrize("how", ["numbers", "count", "rows", "names", "answers", "state"])
def test_what_somebody_made_who_knows_how_it_looks_is_none(
    judged: Repo, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.stage("docs/notes.md", "# Notes\n")
    new = said("--no-cache")
    real = Cache.read

    def read(self: Cache, kind: str, key: bytes) -> bytes | None:
        content = real(self, kind, key)
        return _damaged(content, how) if content and kind == KIND else content

    monkeypatch.setattr(Cache, "read", read)
    assert said() == new


LOG = "artifacts/0001-slim/log.txt"
CITES = {"docs/cites.md": f"# Run\n\n[log](../{LOG})\n", ".gitignore": ".runs/\nartifacts/\n"}
ROOTS = '[evidence]\nroots = ["artifacts"]\n'


@pytest.mark.parametrize(
    ("files", "keys"),
    [
        ({"orchgate.toml": ROOTS}, ["evidence.roots"]),
        (
            {"orchgate.toml": f'[documents]\ntask-index = "others.json"\n{ROOTS}', "others.json": tasks(ITEM)},
            ["documents.task-index", "evidence.roots"],
        ),
    ],
)
def test_what_the_old_value_refuses_is_not_told_from_what_was_kept_under_the_new_one(
    judged: Repo, files: Mapping[str, str], keys: list[str]
) -> None:
    judged.commit(files={"orchgate.toml": "[review]\nmax-age-days = 90\n"})
    judged.git("checkout", "-q", "-b", "work")
    judged.write(LOG, "passed\n")
    judged.commit(files={**CITES, **files, "orchgate.toml": "[review]\nmax-age-days = 90\n" + files["orchgate.toml"]})
    first = said()
    judged.stage("docs/notes.md", "# Notes\n")
    second = said()

    assert second == said("--no-cache")
    refused = [
        [one["message"].split()[0] for one in report["diagnostics"] if "the old value refuses" in one["message"]]
        for report in (first, second)
    ]
    assert refused == [keys, keys]


def test_a_document_of_a_packet_that_is_judged_each_time_is_not_kept_for_another(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing for both was told of the one from what was kept, and of the other once more, as if new."""
    monkeypatch.setattr(asked, "RACY", -(10**18))
    monkeypatch.setattr(parts, "SIZE", 1)
    # The plan is one of two documents here, and the checklist of a packet of its own.
    repo.write("orchgate.toml", '[documents]\npaths.checklist = "docs/{task}.md"\n')
    repo.git("add", "orchgate.toml")
    repo.commit(files={"docs/ACTION_PLAN-fast.md": "# Plan\n", "docs/PRD-fast.md": "# PRD\n", "docs/guide.md": "# A\n"})
    repo.stage("docs/PRD-fast.md", "# PRD\n\n## Summary\n")
    said()
    repo.stage("docs/guide.md", "# B\n")

    assert said() == said("--no-cache")
