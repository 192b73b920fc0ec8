"""What the history answers, from recorded runs to the page: by the real program, clones and a remote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from orchgate.lib import files
from tests.histories import Clones, clones, record, told, write_lines
from tests.trending import commits, runs_of, step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


def test_a_clone_that_fetches_learns_between_which_commits_a_pipeline_became_slower(made: Clones) -> None:
    line = commits(made.one, 120)
    made.one.git("push", "--quiet", "origin", "main")
    runs = runs_of(line, step(80))
    write_lines(made.one, runs[::2])
    record(made.one, times=2)  # real ones, of this machine's own class
    told(made.one, "push")
    made.other.git("pull", "--quiet")
    write_lines(made.other, runs[1::2])
    told(made.other, "push")
    made.third.git("pull", "--quiet")
    told(made.third, "fetch")

    shown = told(made.third, "show")
    jsonschema.validate(shown, json.loads(files.read_data("schemas", "history.json")))
    (change,) = shown["changes"]

    assert (change["pipeline"], change["metric"]) == ("demo", "cpu_seconds")
    assert line.index(change["last_commit_before"]) < 80 <= line.index(change["first_commit_after"])
    between = line.index(change["first_commit_after"]) - line.index(change["last_commit_before"])
    assert (change["commit_count"], between <= 4) == (between, True)
    assert 0.17 < change["change_fraction"] < 0.23
    assert change["confidence_fraction"] > 0.99
    assert [one["stage"] for one in change["stages"]] == ["test"]
    text = made.third.orchgate("history", "show").out
    assert change["first_commit_after"][:7] in text
    assert change["last_commit_before"][:7] in text
