"""Verbs that change what is there: eight at once lose nothing, and one that was killed is made good by the next."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchgate.evidence import lock
from orchgate.verdict import baseline
from orchgate.verdict.baseline import Baseline, render
from tests.baselines import record
from tests.killing import TRACED, killed_at_each_step
from tests.repo import ORCHGATE, Repo, init
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
PLAN = "docs/ACTION_PLAN-demo.md"
MADE: list[Path] = []  # the repository all tests start from: recording runs takes longer than copying them
CANDIDATES = [f"pipeline-{number}" for number in range(8)]


class Made(NamedTuple):
    """A repository with a packet and two runs of each of four pipelines, all of it committed or ignored."""

    repo: Repo

    @property
    def manifests(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.repo.root)) for path in self.repo.root.glob(".runs/*/cli/*/manifest.json")
        )

    def runs(self, pipeline: str) -> list[str]:
        known = {path: json.loads((self.repo.root / path).read_text())["pipeline_id"] for path in self.manifests}
        return [path.split("/")[-2] for path, name in known.items() if name == pipeline]

    def summarize(self, pipeline: str) -> tuple[str, ...]:
        before, after = self.runs(pipeline)
        return ("evidence", "summarize", "--task", TASK, "--before", before, "--after", after)

    def at_once(self, *commands: tuple[str, ...]) -> list[int]:
        """Exit codes of processes that are started together."""
        children = [
            subprocess.Popen([ORCHGATE, *argv], cwd=self.repo.root, stdout=subprocess.DEVNULL) for argv in commands
        ]
        return [child.wait() for child in children]

    @property
    def changed(self) -> set[str]:
        """What git sees that is new or changed."""
        lines = self.repo.git("status", "--porcelain", "--untracked-files=all").splitlines()
        return {line.split(maxsplit=1)[1] for line in lines}

    @property
    def kept(self) -> list[str]:
        """What lies in our own folder of the git folder."""
        found = (self.repo.root / ".git/orchgate").rglob("*")
        return [str(path) for path in found if path.is_file() and path.parent.name != "cache"]

    @property
    def pins(self) -> set[str]:
        return {pin.path for pin in lock.parse((self.repo.root / lock.PATH).read_bytes()).pins.values()}


def prepared(repo: Repo) -> None:
    project = Project(repo)
    repo.write(".gitignore", ".runs/\nout/\n/candidates/\n")
    assert repo.orchgate("new", "demo", "--task", TASK).code == 0
    for name in ("one", "two", "three", "four"):
        project.define(name, {"id": "work", "run": ["true"]})
    repo.git("add", "--all")
    repo.commit()
    for name in ("one", "two", "three", "four"):
        assert [project.run(name).code for _ in range(2)] == [0, 0]
    for name in CANDIDATES:
        made = record(pipeline=name)
        repo.write(f"candidates/{name}.json", render(Baseline({made.place: made})))
    repo.git("status")


@pytest.fixture
def made(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Made:
    found = copied(tmp_path / "repo", tmp_path_factory)
    monkeypatch.chdir(found.repo.root)
    return found


def copied(place: Path, factory: pytest.TempPathFactory) -> Made:
    if not MADE:
        repo = init(factory.mktemp("writers") / "repo")
        prepared(repo)
        MADE.append(repo.root)
    shutil.copytree(MADE[0], place, symlinks=True)
    return Made(Repo(place))


# Eight at once


def test_eight_pins_are_eight_pins(made: Made) -> None:
    codes = made.at_once(*(("evidence", "pin", path) for path in made.manifests))

    assert (codes, set(made.manifests) - made.pins) == ([0] * 8, set())
    assert (made.changed, made.kept) == ({".orchgate/.gitattributes", lock.PATH}, [])


def test_tables_of_several_pipelines_stand_beside_each_other(made: Made) -> None:
    commands = [made.summarize(name) for name in ("one", "two", "three", "four")]

    codes = made.at_once(*commands, *commands)

    text = (made.repo.root / PLAN).read_text()
    assert (codes, text.count("orchgate summary ends")) == ([0] * 8, 4)
    assert [argv[-1] for argv in commands if argv[-1] not in text] == []
    assert (made.changed, made.kept) == ({PLAN}, [])


def test_eight_times_metrics_is_one_snapshot(made: Made) -> None:
    codes = made.at_once(*[("metrics",)] * 8)

    found = {path.name for path in (made.repo.root / ".runs" / TASK).iterdir()}
    assert (codes, found) == ([0] * 8, {"cli", "metrics.json", "aggregate.json", "aggregate.index"})
    assert [path.name for path in (made.repo.root / "out" / TASK).iterdir()] == ["state.json"]
    state = json.loads((made.repo.root / "out" / TASK / "state.json").read_text())
    assert sum(one["runs"] for one in state["pipelines"]) == 8
    assert (made.changed, made.kept) == (set(), [])


def promote(name: str) -> tuple[str, ...]:
    return ("baseline", "promote", "--from", f"candidates/{name}.json")


def test_eight_baselines_are_eight_records(made: Made) -> None:
    codes = made.at_once(*map(promote, CANDIDATES))

    known = baseline.load(str(made.repo.root))
    assert (codes, sorted(pipeline for pipeline, _ in known.records)) == ([0] * 8, CANDIDATES)
    assert (made.changed, made.kept) == ({".orchgate/.gitattributes", ".orchgate/baseline.json"}, [])


def test_what_shares_a_folder_shares_it(made: Made) -> None:
    pins, names = made.manifests[:4], CANDIDATES[:4]

    codes = made.at_once(*(("evidence", "pin", path) for path in pins), *map(promote, names))

    lines = (made.repo.root / ".orchgate/.gitattributes").read_text().splitlines()
    assert (codes, sorted(lines)) == ([0] * 8, ["baseline.json merge=union", "evidence.lock text eol=lf merge=union"])
    assert (set(pins) - made.pins, len(baseline.load(str(made.repo.root)).records)) == (set(), 4)


def test_all_of_them_at_once_get_along(made: Made) -> None:
    commands = [("new", "other"), ("new", "another"), ("init", "--native"), ("metrics",), made.summarize("one")]

    codes = made.at_once(*commands, ("evidence", "pin", made.manifests[0]), promote(CANDIDATES[0]), ("metrics",))

    assert (codes, [os.path.basename(path) for path in made.kept]) == ([0] * 8, ["init.json"])  # what `init` undoes
    assert not any(os.path.basename(path).startswith(".orchgate-") for path in made.changed)


# Killed

VERBS = {
    "pin": ("evidence", "pin"),
    "metrics": ("metrics",),
    "promote": promote(CANDIDATES[0]),
    "summarize": (),  # takes runs
}


def result(made: Made) -> dict[str, bytes]:
    """The files that the verbs write; times differ from one to the next."""
    names = (PLAN, lock.PATH, ".orchgate/.gitattributes", ".orchgate/baseline.json", f"out/{TASK}/state.json")
    found = {name: made.repo.root / name for name in names}
    texts = {name: path.read_bytes() for name, path in found.items() if path.exists()}
    for name, text in texts.items():
        if name.endswith(("state.json", "baseline.json")):
            value = json.loads(text)
            value.pop("updated_at", None)
            texts[name] = json.dumps(value).encode()
    return texts


@TRACED
@pytest.mark.parametrize("verb", VERBS)
def test_one_that_was_killed_at_any_step_is_made_good_by_the_next(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, verb: str
) -> None:
    first = copied(tmp_path / "whole", tmp_path_factory)
    if verb == "pin":
        cited = "".join(f"- [x] A - Evidence: `{path}`\n" for path in first.manifests)
        (tmp_path / "notes.md").write_text(f"# Notes\n\n{cited}")
        shutil.copy(tmp_path / "notes.md", first.repo.root / "docs/notes.md")
    argv = VERBS[verb] or first.summarize("one")
    assert first.repo.orchgate(*argv).code == 0
    expected, seen = result(first), first.changed
    for number, run in enumerate(killed_at_each_step(ORCHGATE, *argv)):
        made = copied(tmp_path / f"repo-{number}", tmp_path_factory)
        if verb == "pin":
            shutil.copy(tmp_path / "notes.md", made.repo.root / "docs/notes.md")
        before = result(made)
        run(made.repo)
        after = result(made)
        assert all(after[name] in (before.get(name), expected[name]) for name in after)
        assert made.changed <= seen
        again = made.repo.orchgate(*argv)
        assert again.code == 0, again.out
        assert (result(made), made.changed, made.kept) == (expected, seen, [])
        shutil.rmtree(made.repo.root)
