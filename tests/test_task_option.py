"""What `--task` takes: the full id of a task, its slug, or a beginning that no other task has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.commands.shared.work_tree import KnownTasks, resolved
from orchgate.errors import UsageError

if TYPE_CHECKING:
    from tests.repo import Repo

KNOWN = KnownTasks({"0001-faster-start", "0002-faster-stop", "0010-shell"}, {"faster-start", "docs"})
PIPELINE = '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n'


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ("0001-faster-start", "0001-faster-start"),
        ("faster-start", "0001-faster-start"),
        ("0001", "0001-faster-start"),
        ("0002-f", "0002-faster-stop"),
        ("faster-sta", "0001-faster-start"),
        ("docs", "docs"),
        ("0003-docs", "0003-docs"),
    ],
)
def test_a_task_is_known_by_any_of_its_names(given: str, task: str) -> None:
    assert resolved(given, KNOWN) == task


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0001-fastr-start", "unknown task 0001-fastr-start; did you mean 0001-faster-start?"),
        ("faster", "several tasks begin with faster: 0001-faster-start, 0002-faster-stop"),
        ("000", "several tasks begin with 000: 0001-faster-start, 0002-faster-stop"),
        ("zzz", "unknown task zzz; there are 0001-faster-start, 0002-faster-stop, 0010-shell, docs"),
        ("0001-faster-start-scout", "unknown task 0001-faster-start-scout; did you mean 0001-faster-start?"),
    ],
)
def test_what_is_no_name_of_one_task_is_refused(given: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(given, KNOWN)

    assert refused.value.message == said


def test_a_helper_of_a_task_may_be_recorded() -> None:
    assert resolved("0001-faster-start-scout", KNOWN, helpers=True) == "0001-faster-start-scout"


@pytest.fixture
def place(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    repo.stage("orchgate.toml", PIPELINE)
    monkeypatch.chdir(repo.root)
    return repo


@pytest.mark.slow
def test_the_first_task_of_all_may_be_any(place: Repo) -> None:
    assert main(["run", "p", "--task", "t"]) == 0


@pytest.mark.slow
def test_where_tasks_have_documents_a_run_is_of_one_of_them(place: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    place.stage("docs/PRD-demo.md", "# PRD\n")
    place.stage("tasks/tasks-0001-demo.md", "# Checklist\n")

    assert main(["run", "p", "--task", "0001-dmeo"]) == 2
    assert "unknown task 0001-dmeo; did you mean 0001-demo?" in capsys.readouterr().err
    assert main(["run", "p", "--task", "0001"]) == 0
    assert [folder.name for folder in (place.root / ".runs").iterdir()] == ["0001-demo"]


@pytest.mark.parametrize("command", ["status", "metrics", "baseline promote", "evidence pin", "resume latest"])
def test_an_unknown_task_is_named_with_the_nearest(
    place: Repo, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.stage("docs/PRD-demo.md", "# PRD\n")
    place.stage("tasks/tasks-0001-demo.md", "# Checklist\n")

    assert main([*command.split(), "--task", "0001-dmeo"]) == 2
    assert "unknown task 0001-dmeo; did you mean 0001-demo?" in capsys.readouterr().err
