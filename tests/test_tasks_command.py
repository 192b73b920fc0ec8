"""`orchgate tasks`: what each task owes, and calling one finished."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.errors import Unreadable
from orchgate.packets.tasks import read_task_list, with_status
from tests.journals import recorded
from tests.manifest_samples import own
from tests.published import closed

if TYPE_CHECKING:
    from tests.repo import Repo

TASK = "0007-faster-start"
CONFIG = """\
[documents]
required = ["prd", "checklist"]
required-sections.prd = ["Goals"]
required-sections.checklist = []
"""
OWING = """\
[evidence]
required-runs = ["diagnostics:after"]
[[pipelines.diagnostics.stages]]
id = "a"
run = ["true"]
"""
PRD = "# PRD - Faster start\n\n- Status: Draft\n\n## Goals\n\nFaster.\n\n## Approvals\n\n- Product: Jo, 2026-02-14\n"
CHECKLIST = "# Tasks - 0007-faster-start\n\n- [x] Measured. Evidence: `docs/PRD-faster-start.md`\n"
LIST: dict[str, list[dict[str, Any]]] = {
    "items": [
        {"id": "0006", "slug": "older", "title": "Older", "status": "done", "completed_at": "2026-01-02"},
        {
            "id": "0007",
            "slug": "faster-start",
            "title": '{"status": 1}',
            "gate": {"status": "open"},
            "status": "in-progress",
            "completed_at": None,
        },
    ]
}


@pytest.fixture
def tasks(repo: Repo) -> Repo:
    """A repository with one open task, all of whose boxes are ticked."""
    files = {
        "orchgate.toml": CONFIG,
        "docs/PRD-faster-start.md": PRD,
        f"tasks/tasks-{TASK}.md": CHECKLIST,
        "tasks/index.json": json.dumps(LIST, indent=2) + "\n",
    }
    repo.commit("begin", files)
    os.chdir(repo.root)
    return repo


def document(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    main(["tasks", *args, "--output-format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, closed("tasks"))
    return found


@pytest.mark.slow
def test_a_task_that_owes_nothing_is_closed_in_its_list_and_in_its_documents(
    tasks: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tasks.root / "tasks/index.json").read_text()

    assert main(["tasks", "close", "0007"]) == 0

    after = (tasks.root / "tasks/index.json").read_text()
    assert after == before.replace('"in-progress"', '"done"').replace("null", f'"{_day(after)}"')
    assert "- Status: Completed\n" in (tasks.root / "docs/PRD-faster-start.md").read_text()
    assert "git add tasks/index.json docs/PRD-faster-start.md" in capsys.readouterr().out
    tasks.git("add", ".")
    assert main(["check", "--staged", "documents", "evidence"]) == 0
    capsys.readouterr()
    assert document(capsys, "close", "0007")["written"] == []


def _day(text: str) -> str:
    day = json.loads(text)["items"][1]["completed_at"]
    assert len(day) == len("2026-02-14")
    return str(day)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "old", "new", "rule"),
    [
        (f"tasks/tasks-{TASK}.md", "- [x]", "- [ ]", ""),
        ("docs/PRD-faster-start.md", "Jo, 2026-02-14", "pending", "DOC006"),
        ("docs/PRD-faster-start.md", "Faster.", "TBD", "DOC004"),
        ("docs/PRD-faster-start.md", "Faster.\n", "", "DOC003"),
        (f"tasks/tasks-{TASK}.md", "Evidence: `docs/PRD-faster-start.md`", "Tests pass", "EVD005"),
        (f"tasks/tasks-{TASK}.md", "PRD-faster-start.md", "gone.md", "EVD001"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(
    tasks: Repo, path: str, old: str, new: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.stage(path, (tasks.root / path).read_text().replace(old, new))
    before = (tasks.root / "tasks/index.json").read_bytes()

    assert main(["tasks", "close", TASK]) == 1

    assert "is not finished: 1 thing to do" in capsys.readouterr().out
    owes = document(capsys, "check", TASK)["tasks"][0]["owes"]
    assert [(one["rule"], one["path"]) for one in owes] == [(rule or None, path)]
    assert (tasks.root / "tasks/index.json").read_bytes() == before


@pytest.mark.slow
def test_a_required_run_is_owed_before_anybody_claims_it(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.commit("owe", {"orchgate.toml": CONFIG + OWING})

    assert [one["rule"] for one in document(capsys)["tasks"][0]["owes"]] == ["EVD010"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["docs/PRD-faster-start.md", f"tasks/tasks-{TASK}.md"])
def test_edits_that_are_not_staged_are_in_the_way(tasks: Repo, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.write(path, (tasks.root / path).read_text() + "\n- [ ] More\n")

    assert main(["tasks", "close", TASK]) == 3

    assert f"git add {path}" in capsys.readouterr().err
    assert "in-progress" in (tasks.root / "tasks/index.json").read_text()


@pytest.mark.slow
def test_edits_that_were_not_read_are_told(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"tasks/tasks-{TASK}.md"
    assert main(["tasks", "check", TASK]) == 0
    assert "without the edits" not in capsys.readouterr().out
    tasks.write(path, f"{CHECKLIST}- [ ] Proven - accept: `pytest -q`\n")

    assert main(["tasks", "check", TASK]) == 0
    out = capsys.readouterr().out
    assert f"judged as staged, without the edits since: {path}\n  hint: git add {path}\n" in out
    assert document(capsys, "check", TASK)["unstaged_documents"] == [path]


@pytest.mark.slow
def test_the_list_is_of_what_is_open_the_oldest_first(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.stage("docs/PRD-older.md", PRD)
    tasks.stage("tasks/tasks-0006-older.md", CHECKLIST.replace("0007-faster-start", "0006-older"))
    tasks.stage("docs/PRD-oldest.md", PRD.replace("Jo, 2026-02-14", ""))
    tasks.stage("tasks/tasks-0002-oldest.md", "# Tasks - 0002-oldest\n\n- [ ] Begin\n")

    assert [one["task_id"] for one in document(capsys)["tasks"]] == ["0002-oldest", TASK]
    main(["tasks"])
    shown = capsys.readouterr().out
    assert "orchgate: 3 tasks: 2 open, 1 finished; --all shows every task" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert [one["task_id"] for one in document(capsys, "--all")["tasks"]] == ["0002-oldest", "0006-older", TASK]


@pytest.mark.slow
def test_the_last_run_of_a_task_is_shown(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = own(task_id=TASK)
    for name, content in recorded(manifest).items():
        tasks.write(f".runs/{TASK}/cli/{manifest['run_id']}/{name}", content)

    [task] = document(capsys, "--task", "0007")["tasks"]

    assert task["run_count"] == 1
    assert (task["last_run"]["run_id"], task["last_run"]["status"]) == (manifest["run_id"], "succeeded")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["close"], 2, "TASK"),
        (["close", "0008"], 2, "unknown task 0008"),
        (["--task", "faster-strat"], 2, "did you mean 0007-faster-start?"),
        (["finish", "0007"], 2, "unknown verb finish"),
    ],
)
def test_wrong_use_is_named(
    tasks: Repo, args: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", *args]) == code
    assert words in capsys.readouterr().err


def test_a_repository_without_tasks_says_how_to_begin_one(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    os.chdir(repo.root)

    assert main(["tasks"]) == 0
    assert "no tasks here" in capsys.readouterr().out


def test_a_task_list_that_cannot_be_read_closes_nothing(tasks: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.stage("tasks/index.json", '{"items": [')

    assert main(["tasks", "close", TASK]) == 3
    assert "tasks/index.json: could not check" in capsys.readouterr().out
    assert "Draft" in (tasks.root / "docs/PRD-faster-start.md").read_text()


@pytest.mark.parametrize(
    "text",
    [
        '{"items":[{"id":"1","status":"open"},{"id":"2","x":{"status":"no"},"status":"open"}]}',
        '[{"id":"1"},{"id":"2"}]',
        '\ufeff{\r\n\t"items": [\r\n\t\t{"id": "1"},\r\n{"status": null, "id": "2", "x": "\\"status\\": 1"}\r\n]}\r\n',
        '{"items": [{"id": "1"}, {"id": "2", "status": 7}]}',
        '{"about": {"items": [1]}, "items": [{"id": "1"}, {"id": "2", "status": "x"}]}',
    ],
)
def test_only_the_status_of_one_task_changes_however_the_list_is_written(text: str) -> None:
    try:
        listed = read_task_list("tasks/index.json", text.encode())
    except ValueError:
        pytest.fail("the sample is no task list")
    wanted = json.loads(text.removeprefix("\ufeff"))
    (wanted["items"] if isinstance(wanted, dict) else wanted)[1]["status"] = "done"

    changed = with_status(listed, listed.items[1], "done", "2026-02-14")

    assert json.loads(changed.removeprefix("\ufeff")) == wanted
    assert changed.count("\r\n") == text.count("\r\n")


def test_a_list_that_has_a_key_twice_is_left_for_a_person() -> None:
    text = '[{"id": "1", "status": "x", "status": "y"}]'
    listed = read_task_list("tasks/index.json", text.encode())

    with pytest.raises(Unreadable, match="the status of 1 cannot be set in the text of this file"):
        with_status(listed, listed.items[0], "done", "2026-02-14")
