"""Which task a change names, and which changes need to name none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks.specs import CHECK
from orchgate.model import ABSENT, Push, ScopeTarget
from tests.support import folder_context, severity, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.gate.context import Context
    from tests.repo import Repo

LIST = '{"items": [{"id": "0001", "slug": "alpha", "status": "in-progress"%s}]}'
PACKET = {
    "orchgate.toml": '[specs]\npaths = ["**/*.py", "**/*.json", "**/*.toml"]\n',
    "docs/TECH_SPEC-alpha.md": "# TECH_SPEC\n",
    "tasks/tasks-0001-alpha.md": "# Checklist\n",
    "tasks/index.json": LIST % "",
}


def change(folder: Path, files: dict[str, str], message: str = "Speed up", branch: str = "work") -> Context:
    base, head = write_tree(folder / "base", PACKET), write_tree(folder / "head", {**PACKET, **files})
    push = Push("origin", f"refs/heads/{branch}", ABSENT, ABSENT)
    target = ScopeTarget("staged", None, push=push, message=lambda: message)
    return folder_context(head, base)._replace(target=target)


def weights(ctx: Context) -> list[str]:
    return [severity(finding) for finding in CHECK.run(ctx).findings]


@pytest.mark.parametrize(
    "branch", ["0001-alpha", "feature/alpha", "alpha-2", "Feature/0001_Alpha", "ALPHA", "jo/0001", "0001-more"]
)
def test_branch_names_the_task(tmp_path: Path, branch: str) -> None:
    assert weights(change(tmp_path, {"src/a.py": ""}, branch=branch)) == []


@pytest.mark.parametrize("branch", ["alphabet", "work", "1-work", "00012-x", "main"])
def test_branch_names_no_task(tmp_path: Path, branch: str) -> None:
    assert weights(change(tmp_path, {"src/a.py": ""}, branch=branch)) == ["error"]


@pytest.mark.parametrize("task", ["0001-alpha", "alpha", "0001", "1", "#1", "0001_Alpha"])
def test_trailer_names_the_task(tmp_path: Path, task: str) -> None:
    assert weights(change(tmp_path, {"src/a.py": ""}, f"Speed up\n\nTask: {task}\n")) == []


@pytest.mark.parametrize("task", ["2", "0011", "beta", "alphabet"])
def test_trailer_names_another_task(tmp_path: Path, task: str) -> None:
    (finding,) = CHECK.run(change(tmp_path, {"src/a.py": ""}, f"Speed up\n\nTask: {task}\n")).findings

    assert finding.message == f"1 code file changed, but task {task} (named by trailer Task: {task}) has no packet"


@pytest.mark.parametrize(
    "files",
    [{"tasks/tasks-0001-alpha.md": "- [x] done\n"}, {"tasks/index.json": LIST % ', "title": "Alpha"'}],
    ids=["checklist", "entry"],
)
def test_document_of_the_change_names_the_task(tmp_path: Path, files: dict[str, str]) -> None:
    assert weights(change(tmp_path, {"src/a.py": "", **files})) == []


def test_document_without_a_spec_does_not_hide_the_task_of_the_branch(tmp_path: Path) -> None:
    files = {"src/a.py": "", "tasks/tasks-0002-beta.md": "- [ ] a\n"}

    assert (weights(change(tmp_path / "a", files)), weights(change(tmp_path / "b", files, branch="alpha"))) == (
        ["error"],
        [],
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Revert "Speed up"\n\nThis reverts commit 1234567.\n', "note"),
        ('Reapply "Speed up"\n', "note"),
        ("revert: speed up\n", "note"),
        ("fixup! Speed up\n", "note"),
        ("amend! Speed up\n", "note"),
        ("\n\nsquash! Speed up\n", "note"),
        ("Revert the speed up of fixup! commits\n", "error"),
        ("Fix\n\nfixup! Speed up\n", "error"),
    ],
)
def test_commit_that_completes_or_takes_back_another_needs_no_task(tmp_path: Path, message: str, expected: str) -> None:
    assert weights(change(tmp_path, {"src/a.py": ""}, message)) == [expected]


@pytest.mark.parametrize("branch", ["dependabot/npm/x-1.2", "renovate/all", "task/release-1.2", "release/1"])
def test_branch_of_a_bot_or_a_release_needs_no_task(tmp_path: Path, branch: str) -> None:
    assert weights(change(tmp_path, {"src/a.py": ""}, branch=branch)) == ["note"]


def test_list_of_dependencies_is_no_code(tmp_path: Path) -> None:
    ctx = change(tmp_path, {"package.json": "{}", "web/package-lock.json": "{}", "pyproject.toml": ""})

    assert CHECK.run(ctx).examined == {"code files": 0}


@pytest.mark.parametrize(("profile", "expected"), [("codex-orchestrator", ["note"]), ("default", [])])
def test_repository_without_packets_is_not_held_to_them_by_a_profile(
    tmp_path: Path, profile: str, expected: list[str]
) -> None:
    write_tree(tmp_path, {"orchgate.toml": f'profile = "{profile}"\n', "scripts/a.sh": "true\n"})

    assert weights(folder_context(tmp_path)) == expected


def test_packet_that_the_change_deletes_was_one(tmp_path: Path) -> None:
    head = write_tree(tmp_path / "head", {"orchgate.toml": 'profile = "codex-orchestrator"\n', "scripts/a.sh": ""})
    base = write_tree(tmp_path / "base", {**PACKET, "orchgate.toml": 'profile = "codex-orchestrator"\n'})

    assert weights(folder_context(head, base)) == ["error"]


@pytest.mark.slow
def test_conflict_that_a_merge_resolves_needs_no_task(repo: Repo) -> None:
    repo.commit("base", {**PACKET, "a.py": "1\n"})
    repo.git("switch", "-q", "-c", "side")
    repo.commit("side\n\nTask: alpha", {"a.py": "2\n"})
    repo.git("switch", "-q", "main")
    repo.commit("main", {"a.py": "3\n"})
    repo.attempt("git", "merge", "side")
    repo.stage("a.py", "4\n")

    said = [(one["rule"], one["severity"]) for one in repo.report("--staged", "specs")["diagnostics"]]
    assert said == [("SPC001", "note")]
