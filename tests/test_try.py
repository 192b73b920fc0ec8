"""The README's first command, as its reader runs it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


def test_the_loop_is_walked_and_what_should_not_land_does_not(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    env = {"PRE_COMMIT_HOME": str(tmp_path / "pre-commit")}
    result = repo.orchgate("try", str(tmp_path / "play"), env=env)

    outcomes = ["landed", "landed", "blocked", "landed", "landed", "landed", "blocked", "landed", "blocked", "landed"]
    assert (result.code, re.findall(r"=> (\w+)", result.out)) == (0, outcomes), result.out
    assert re.search(r"PRF008 \(note\) override: .* lifted\n(?s:.*)1 recorded verdict", result.out), result.out
    assert re.search(r"PRF001 demo: CPU time.*in stage work", result.out), result.out

    # It takes half a minute, so the folder that it leaves is looked at here, too.
    (tmp_path / "play" / "more.txt").write_text("more\n")
    result = repo.attempt("sh", "-c", "git add more.txt && git commit -m More", cwd=tmp_path / "play", env=env)
    assert (result.code, os.path.exists(os.environ["XDG_STATE_HOME"])) == (0, False), result.out


def test_a_folder_that_holds_something_is_left_alone(repo: Repo) -> None:
    repo.write("kept.txt")

    assert repo.orchgate("try", ".").code == 2
