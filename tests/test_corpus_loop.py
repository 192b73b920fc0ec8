"""The job that this project comes from, from end to end: observe, find the waiting, change, compare, pin, guard."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import standin
from tests.repo import ORCHGATE, Repo, Result, clone, init
from tests.runs import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
TASK = "0001-no-waiting"
OBSERVE = ("observe", "--watch", ".runs", "--name", "whole", "--task", TASK, "--", *standin.COMMAND)
HOOK = f'#!/bin/sh\nexec "{ORCHGATE}" hook pre-push "$@"\n'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here"),
]


class Walked(NamedTuple):
    """What each step of the loop said. `before` and `after` are folders of runs, in two clones."""

    repo: Repo
    before: tuple[Path, ...]
    after: tuple[Path, ...]
    hotspots: dict[str, Any]
    compared: Result
    pinned: Result
    recorded: Result
    refused: Result


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    folder = tmp_path_factory.mktemp("loop")
    with pytest.MonkeyPatch.context() as patch:
        _alone(patch, folder)
        yield _walk(folder)


def _alone(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """The environment of every other test, which a fixture of the whole module does not get."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "CI", "GITHUB_", "PRE_COMMIT"))]:
        patch.delenv(name)
    who = {f"GIT_{role}_{what}": "ada@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    hermetic = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "ORCHGATE_TREES": str(folder / "trees")}
    for name, value in {**who, **hermetic}.items():
        patch.setenv(name, value)


def _walk(folder: Path) -> Walked:
    seed = init(folder / "seed")
    seed.commit("Orchestrate", standin.files(CORPUS))
    remote = clone(seed, folder / "remote.git", "--bare")
    old, new = (clone(remote, folder / name) for name in ("before", "after"))
    before = tuple(_observed(old) for _ in range(2))
    found = _ranked(old, before[-1].name)

    new.orchgate("new", "no-waiting", "--task", TASK)
    new.commit("Write the manifest at once", {"orchestrator.py": standin.program(waits=False)})
    after = tuple(_observed(new) for _ in range(2))
    sides = {"--before": [os.path.relpath(run, new.root) for run in before], "--after": [run.name for run in after]}
    words = [word for side, runs in sides.items() for word in (side, *runs)]
    compared = new.orchgate("evidence", "summarize", "--task", TASK, *words)
    pinned = new.orchgate("evidence", "pin")
    recorded = new.orchgate("baseline", "record", "--runs", "10")
    new.git("add", "--all")
    new.commit("Show what it saves")

    new.git("push", "--quiet", "origin", "main")
    hook = new.root / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    new.commit("Queue again", {"orchestrator.py": standin.program(waits=True)})
    refused = new.attempt("git", "push", "origin", "main")
    return Walked(new, before, after, found, compared, pinned, recorded, refused)


def _ranked(repo: Repo, run: str) -> dict[str, Any]:
    """The JSON that `hotspots` prints; beside it, the standard error says which counts are lower bounds."""
    argv = [ORCHGATE, "hotspots", run, "--output-format", "json"]
    told: dict[str, Any] = json.loads(subprocess.run(argv, cwd=repo.root, capture_output=True, check=True).stdout)
    return told


def _observed(repo: Repo) -> Path:
    told = repo.orchgate(*OBSERVE)
    assert told.code == 0, told.out
    return max((repo.root / ".runs" / TASK / "cli").iterdir())


def _counted(run: Path) -> tuple[bool, int]:
    """Whether all writes of files were seen, and how many were."""
    activity = json.loads((run / "artifacts" / "activity.json").read_text())
    return not activity["lower_bound"], activity["totals"]["written"]


def test_every_write_of_the_program_is_counted_or_the_count_is_a_lower_bound(walked: Walked) -> None:
    counts = [_counted(run) for run in (*walked.before, *walked.after)]

    assert [one for one in counts if one[1] > standin.WRITES or (one[0] and one[1] != standin.WRITES)] == []


def test_the_waiting_before_the_commands_is_found_inside(walked: Walked) -> None:
    first = walked.hotspots["hotspots"][0]

    least, most = standin.STAGES * standin.WAIT, manifest(walked.before[-1])["usage"]["wall_seconds"]
    assert (first["kind"], least < first["seconds"] < most) == ("waiting", True), first


def test_before_and_after_of_two_clones_are_one_table(walked: Walked) -> None:
    assert (walked.compared.code, "| wall time" in walked.compared.out) == (0, True), walked.compared.out


def test_what_the_table_cites_is_pinned(walked: Walked) -> None:
    lock = (walked.repo.root / ".orchgate" / "evidence.lock").read_text()

    assert [run.name for run in (*walked.before, *walked.after) if run.name not in lock] == [], walked.pinned.out


def test_a_push_that_waits_again_is_refused(walked: Walked) -> None:
    told = walked.refused

    assert (told.code, "PRF001" in told.out, "orchestrator" in told.out) == (1, True, True), told.out


def test_the_baseline_is_recorded(walked: Walked) -> None:
    assert (walked.recorded.code, "whole" in walked.recorded.out) == (0, True), walked.recorded.out
