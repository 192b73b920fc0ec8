"""Runs of another clone or work tree are brought here whole, with their origin, or refused by name."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.evidence import copied_runs
from orchgate.lib import files
from tests.foreign_runs import foreign
from tests.repo import ORCHGATE, Repo, clone, init
from tests.runs import Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

TASK = "0001-demo"
PLAN = "docs/ACTION_PLAN-demo.md"
REMOTE = "https://bob:hunter2@git.example.org/team/project.git?token=abc"


class Clones(NamedTuple):
    """A repository in which a change was made, and a clone of it from before, each with two runs."""

    here: Repo
    there: Repo

    def runs(self, repo: Repo) -> list[Path]:
        return sorted((repo.root / ".runs" / TASK / "cli").iterdir())

    def summarize(self, *before: object, options: tuple[str, ...] = ()) -> tuple[int, str]:
        after = [run.name for run in Project(self.here).folders()][-2:]
        sides = ("--before", *map(str, before or self.runs(self.there)[:2]), "--after", *after)
        return asked("evidence", "summarize", "--task", TASK, *sides, *options)

    @property
    def plan(self) -> str:
        return (self.here.root / PLAN).read_text()

    def copied(self, number: int = 0) -> Path:
        return self.here.root / ".runs" / TASK / "cli" / self.runs(self.there)[number].name


def asked(*words: str) -> tuple[int, str]:
    """Exit code and output of a command in the current folder."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(words))
    return code, said.getvalue()


MADE: list[Path] = []


def made(root: Path) -> Path:
    here = init(root / "here")
    here.write(".gitignore", ".runs/\nout/\n")
    project = Project(here)
    assert here.orchgate("new", "demo", "--task", TASK).code == 0
    project.define("p", {"id": "work", "shell": "echo said"})
    here.git("add", "--all")
    here.commit("before")
    there = clone(here, root / "there")
    here.stage("code.py", "x = 1\n")
    for repo in (there, here):
        for _ in range(2):
            assert Project(repo).run("p").code == 0
    observe = ("observe", "--task", TASK, "--name", "o", "--")
    assert there.orchgate(*observe, ORCHGATE, "run", "p", "--task", TASK).code == 0
    assert there.orchgate(*observe, "true").code == 0
    there.git("remote", "set-url", "origin", REMOTE)
    return root


@pytest.fixture
def clones(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Clones:
    if not MADE:
        MADE.append(made(tmp_path_factory.mktemp("brought")))
    shutil.copytree(MADE[0], tmp_path / "clones", symlinks=True)
    monkeypatch.chdir(tmp_path / "clones" / "here")
    return Clones(*(Repo(tmp_path / "clones" / name) for name in ("here", "there")))


def rules(repo: Repo) -> list[str]:
    repo.git("add", "--all")
    return [f"{one['rule']} {one['message']}" for one in repo.report("--staged", "evidence")["diagnostics"]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_of_another_clone_comes_with_its_journal_and_logs(clones: Clones) -> None:
    code, said = clones.summarize()
    here, there = contents(clones.copied()), contents(clones.runs(clones.there)[0])

    assert (code, {name: here.get(name) for name in there}) == (0, there), said


def test_it_names_its_origin_without_credentials_and_without_this_machine(clones: Clones) -> None:
    clones.summarize()
    run = clones.copied()
    noted: dict[str, Any] = json.loads((run / "origin.json").read_text())

    assert noted["origin"] == {
        "repository": "https://git.example.org/team/project.git",
        "remote": "origin",
        "path": f".runs/{TASK}/cli/{run.name}/manifest.json",
    }


def test_what_is_noted_keeps_its_schema(clones: Clones) -> None:
    clones.summarize()
    noted = json.loads((clones.copied() / "origin.json").read_text())

    jsonschema.validate(noted, json.loads(files.read_data("schemas", "origin.json")))


def test_the_table_names_it_too(clones: Clones) -> None:
    clones.summarize()

    assert "Recorded elsewhere, in https://git.example.org/team/project.git: " in clones.plan


def test_what_was_brought_is_pinned_and_passes_the_gate_on_both_sides_of_the_change(clones: Clones) -> None:
    clones.summarize()
    asked("evidence", "pin", "--yes")

    assert rules(clones.here) == []


def test_a_clone_of_the_other_commit_does_not_hold_for_the_tree_that_lands(clones: Clones) -> None:
    old = clones.runs(clones.there)[0]
    clones.summarize()
    clones.here.write(
        "docs/ACTION_PLAN-demo.md",
        clones.plan + f"\n- [x] It is green. Evidence: `.runs/{TASK}/cli/{old.name}/manifest.json`\n",
    )
    asked("evidence", "pin", "--yes")

    assert any(one.startswith("EVD012") and "another tree" in one for one in rules(clones.here))


def test_naming_it_again_doubles_nothing(clones: Clones) -> None:
    clones.summarize()
    before = contents(clones.here.root / ".runs")
    code, said = clones.summarize()

    assert (code, contents(clones.here.root / ".runs"), "already here" in said) == (0, before, True)


def test_once_here_it_is_named_like_any_other(clones: Clones) -> None:
    clones.summarize()

    assert clones.summarize(*(run.name for run in clones.runs(clones.there)[:2]), options=("--check",))[0] == 0


def test_checking_copies_nothing(clones: Clones) -> None:
    before = contents(clones.here.root / ".runs")
    code, _ = clones.summarize(options=("--check",))

    assert (code, contents(clones.here.root / ".runs")) == (1, before)


def test_a_manifest_will_do_and_so_will_a_relative_path(clones: Clones) -> None:
    path = os.path.relpath(clones.runs(clones.there)[0] / "manifest.json", clones.here.root)

    assert (clones.summarize(path)[0], clones.copied().is_dir()) == (0, True)


def test_runs_of_a_linked_work_tree_are_brought_too(clones: Clones) -> None:
    tree = Repo(clones.here.root / "beside")
    clones.here.git("worktree", "add", "--quiet", "--detach", str(tree.root), "HEAD")
    shutil.copytree(clones.there.root / ".runs", tree.root / ".runs")

    assert (clones.summarize(*clones.runs(tree)[:2])[0], clones.copied().is_dir()) == (0, True)


def test_an_observed_run_brings_those_inside_of_it(clones: Clones) -> None:
    observed, inner = clones.runs(clones.there)[2:4]
    copy = clones.here.root / ".runs" / TASK / "cli" / inner.name / "manifest.json"
    sides = ("--before", str(observed), "--after", str(clones.runs(clones.there)[4]))
    _, said = asked("evidence", "summarize", "--task", TASK, *sides)

    assert (copy.exists(), f"copied: p {inner.name}, inside of it" in said) == (True, True)


# What is refused


def forged(run: Path, clones: Clones) -> None:
    text = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(text.replace('"wall_seconds": 0', '"wall_seconds": 9'))


def damaged(run: Path, clones: Clones) -> None:
    (run / "manifest.json").write_bytes((run / "manifest.json").read_bytes()[:500])


def without_journal(run: Path, clones: Clones) -> None:
    (run / "events.jsonl").unlink()


def moved(run: Path, clones: Clones) -> None:
    run.rename(run.with_name("2026-01-06T09-26-22-129Z-c2f9cb47"))


def behind_a_link(run: Path, clones: Clones) -> None:
    (run / "manifest.json").rename(run / "real.json")
    (run / "manifest.json").symlink_to("real.json")


def another_here(run: Path, clones: Clones) -> None:
    clones.summarize()
    entry = clones.copied() / "events.jsonl"
    entry.write_bytes(entry.read_bytes().replace(b'"said"', b'"sung"') + b"\n")


@pytest.mark.parametrize(
    ("spoil", "code", "expected"),
    [
        (forged, 1, "contradicts its journal"),
        (damaged, 3, "is truncated"),
        (without_journal, 1, "has no journal beside it"),
        (moved, 1, "is in a folder of"),
        (behind_a_link, 3, "symbolic link"),
        (another_here, 1, "is not what is here under its name"),
    ],
)
def test_what_is_no_evidence_there_is_none_here(
    clones: Clones, spoil: Callable[[Path, Clones], None], code: int, expected: str
) -> None:
    spoil(clones.runs(clones.there)[0], clones)
    run = next(one for one in clones.runs(clones.there))
    here = contents(clones.here.root / ".runs")
    found, said = clones.summarize(run)

    assert (found, expected in said, contents(clones.here.root / ".runs") == here) == (code, True, True), said


def test_two_runs_of_one_id_are_not_taken_for_one(clones: Clones, tmp_path: Path) -> None:
    one, other = foreign(clones.there.root), foreign(tmp_path, pipeline_title="another")
    code, said = clones.summarize(one, other)

    assert (code, "another run than one of the same id" in said) == (2, True)


def test_links_and_what_is_too_large_stay_where_they_are_and_are_named(clones: Clones, tmp_path: Path) -> None:
    run = clones.runs(clones.there)[0]
    (tmp_path / "secret").write_text("hunter2")
    (run / "artifacts" / "link").symlink_to(tmp_path / "secret")
    _, said = clones.summarize(run)

    assert "not copied: artifacts/link" in said
    assert not (clones.copied() / "artifacts" / "link").exists()


def test_a_run_of_another_program_is_brought_with_what_its_manifest_names(clones: Clones) -> None:
    before, after = (foreign(clones.there.root, run=f"2026-01-06T09-26-2{n}-129Z-c2f9cb47") for n in (2, 3))
    code, _ = asked("evidence", "summarize", "--task", TASK, "--before", str(before), "--after", str(after))
    here = clones.here.root / ".runs" / "0007-other" / "cli" / before.name

    assert (code, set(contents(here))) == (0, {"manifest.json", "runner.ndjson", "origin.json"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (REMOTE, "https://git.example.org/team/project.git"),
        ("git@git.example.org:team/project.git", "git.example.org:team/project.git"),
        ("ssh://git@git.example.org:22/team/p", "ssh://git.example.org:22/team/p"),
        ("/srv/git/project.git", ""),
        ("../project", ""),
        ("file:///srv/git/project.git", ""),
        ("C:\\git\\project", ""),
        ("https://h/`x`\n--><b>", "https://h/?x??--??b?"),
    ],
)
def test_an_address_is_what_others_could_use(url: str, expected: str) -> None:
    assert copied_runs.address(url) == expected
