"""What real pushes remember, and what the pipeline that is measured can do to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.speed.push import verdict_record
from tests.repo import ORCHGATE, Repo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

# Waiting takes as long on every machine: a pair or two fit into the budget, and never the eight of a first look.
CONFIG = f"""\
[performance]
pipeline = "bench"
budget-seconds = 2.4
[[pipelines.bench.stages]]
id = "work"
run = ["{sys.executable}", "-I", "-S", "work.py"]
"""
WAIT = "import time\ntime.sleep(0.3)\n"
# Judged by a counter, which no machine is too busy for.
WRITING = """\
import os
os.makedirs(".runs/0001-a/cli/r", exist_ok=True)
for _ in range(NUMBER):
    open(".runs/0001-a/cli/r/manifest.json", "w").close()
"""
ENOUGH = CONFIG.replace("2.4", "60")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what this user's pushes remember."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def undecided(repo: Repo, state: Path) -> Repo:
    """A change of which nobody can tell within the budget whether it is slower."""
    repo.commit("Wait", {"orchgate.toml": CONFIG, "work.py": WAIT, ".gitignore": ".runs/\n"})
    repo.git("branch", "origin")
    repo.commit("Say it better", {"work.py": "# better\n" + WAIT})
    return repo


@pytest.fixture
def refused(repo: Repo, state: Path) -> Repo:
    """A change that writes twice what its base writes."""
    repo.commit("Write", {"orchgate.toml": ENOUGH, "work.py": WRITING.replace("NUMBER", "1"), ".gitignore": ".runs/\n"})
    repo.git("branch", "origin")
    repo.commit("Write twice", {"work.py": WRITING.replace("NUMBER", "2")})
    return repo


def ask(repo: Repo, **env: str) -> dict[str, Any]:
    """The result of the check for what is committed since `origin`."""
    (result,) = repo.report("performance", "--base", "origin", env=env)["checks"]
    assert not result["troubles"], result["troubles"]
    return dict(result)


def first_hint(repo: Repo) -> str:
    return str(repo.report("performance", "--base", "origin")["diagnostics"][0]["hint"])


def largest(state: Path) -> int:
    """Bytes of the largest file that holds more than a secret."""
    return max(path.stat().st_size for path in state.rglob("*") if path.is_file())


def kept(result: Mapping[str, Any]) -> bool:
    return not {"not recorded", "not trusted"} & result["facts"].keys()


def test_a_refusal_is_answered_from_the_record_until_its_own_hint_is_followed(refused: Repo) -> None:
    first, second = ask(refused), ask(refused)
    command = first_hint(refused).partition("to measure again: ")[2].partition("\n")[0]
    removed = refused.attempt("sh", "-c", command)
    third = ask(refused)

    assert (removed.code, [one["examined"].get("recorded verdicts", 0) for one in (first, second, third)]) == (
        0,
        [0, 1, 0],
    ), command


def test_what_nobody_could_tell_is_gone_on_with(undecided: Repo, state: Path) -> None:
    first = ask(undecided)
    before = largest(state)
    second = ask(undecided)

    grown = largest(state) > before
    # A busy machine may not get as far as a pair.
    expected = (True, True, second["examined"]["measured pairs"] > 0)
    assert (kept(first), kept(second), grown) == expected


FORGING = """\
import os, shutil
state = os.environ["XDG_STATE_HOME"]
os.makedirs(os.environ["GIT_FOLDER"] + "/orchgate", exist_ok=True)
with open(os.environ["GIT_FOLDER"] + "/orchgate/verdicts.jsonl", "a") as file:
    file.write('{"version":1,"conclusive":true,"said":[]}\\n' * 3)
found = [os.path.join(top, name) for top, _, names in os.walk(state) for name in names]
for path in (path for path in found if not path.endswith(("secret", "lock"))):
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"forged")
"""


def test_a_stage_that_writes_into_the_record_is_noticed_and_gains_nothing(refused: Repo) -> None:
    refused.commit("Forge", {"work.py": FORGING + WRITING.replace("NUMBER", "2")})
    env = {"GIT_FOLDER": str(refused.root / ".git")}
    refused.write(".git/orchgate/verdicts.jsonl", '{"version":1}\nnot json\n')  # of an older version
    first = ask(refused, **env)
    second = ask(refused, **env)

    assert ("was changed while the pipeline ran" in first["facts"]["not trusted"], second["verdict"]) == (True, "fail")


def test_without_a_place_for_the_record_a_push_is_measured_and_that_is_said(refused: Repo) -> None:
    found = ask(refused, XDG_STATE_HOME="/dev/null")

    assert (found["verdict"], "not recorded" in found["facts"]) == ("fail", True)


def test_of_two_pushes_at_once_one_is_kept_and_neither_fails(undecided: Repo, tmp_path: Path) -> None:
    waiting = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    prepared = CONFIG.replace("budget", f'prepare = ["sh", "-c", "{waiting}"]\nbudget', 1)
    undecided.commit("Prepare", {"orchgate.toml": prepared})
    undecided.git("branch", "-f", "origin")
    undecided.commit("Say it best", {"work.py": "# best\n" + WAIT})
    command = [ORCHGATE, "check", "performance", "--base", "origin", "--output-format", "json"]
    both = [
        subprocess.Popen(command, cwd=undecided.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    for one in both:
        assert one.stderr is not None
        assert b"measuring" in one.stderr.readline()  # so it has its turn
    (tmp_path / "go").touch()
    results = [json.loads(one.communicate()[0])["checks"][0] for one in both]

    lost = [result["facts"].get("not recorded") for result in results]
    measured = all(result["examined"]["measured pairs"] for result in results)  # a busy machine may not get that far
    assert (sorted(one.returncode for one in both), lost.count(verdict_record.ANOTHER)) == ([0, 0], int(measured)), (
        results
    )


def test_two_refs_that_hold_the_same_files_are_measured_once(undecided: Repo) -> None:
    undecided.git("update-ref", "refs/remotes/origin/main", "origin")
    one = undecided.git("rev-parse", "HEAD")
    other = undecided.git("commit-tree", "HEAD^{tree}", "-p", "origin", "-m", "Other words")
    lines = "".join(
        f"refs/heads/{name} {oid} refs/heads/{name} {'0' * 40}\n" for name, oid in (("a", one), ("b", other))
    )

    told = subprocess.run(
        [ORCHGATE, "hook", "pre-push", "origin", "url"],
        cwd=undecided.root,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )

    found = (told.returncode, told.stderr.count("measuring bench"), re.findall(r"\(as for (\w)\)", told.stdout))
    assert found in ((0, 1, ["a"]), (0, 1, ["b"])), told.stdout + told.stderr
