"""The recipes of CONTRIBUTING.md, followed to the letter on a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).parent.parent
FILE = re.compile(r"^```python\n# (orchgate/\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RECIPES: Mapping[str, str] = dict(FILE.findall((TOP / "CONTRIBUTING.md").read_text()))
BIG = "x" * 200
SMALL = "[large-files]\nmax-bytes = 100\n"


class Copy(NamedTuple):
    """A copy of the program with the file of every recipe in its place, and a repository to try it in."""

    top: Path
    repo: Repo

    def orchgate(self, *args: str) -> tuple[int, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT", "CI"))}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "orchgate", *args],
            cwd=self.repo.root,
            env=env | {"PYTHONPATH": str(self.top), "GIT_CONFIG_GLOBAL": os.devnull},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("recipes") / "copy"
    for folder in ("orchgate", "schemas", "templates"):
        shutil.copytree(TOP / folder, top / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in RECIPES.items():
        assert not (top / path).exists()
        (top / path).write_text(text)
    return top


@pytest.fixture
def copy(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    return Copy(program, init(tmp_path / "repo"))


def test_there_is_a_recipe_for_each_kind_of_plug_in() -> None:
    rooms = {path.split("/")[1] for path in RECIPES}

    assert rooms == {"checks", "outputs", "commands", "layouts", "measures"}


@pytest.mark.slow
def test_the_check_refuses_what_it_is_about(copy: Copy) -> None:
    copy.repo.commit(files={"orchgate.toml": SMALL})
    copy.repo.stage("video", BIG)

    code, said = copy.orchgate("check", "--staged")

    assert (code, "BIG001" in said) == (1, True), said


@pytest.mark.slow
@pytest.mark.parametrize(
    "loosened",
    [
        pytest.param(SMALL + '[severity]\nBIG001 = "off"\n', id="rule-off"),
        pytest.param(SMALL + '[severity]\nBIG001 = "note"\n', id="rule-a-note"),
        pytest.param("[large-files]\nmax-bytes = 1000\n", id="limit-up"),
        pytest.param("", id="limit-gone"),
        pytest.param(SMALL + '[[ignore]]\npaths = ["**"]\nrules = ["BIG001"]\nreason = "mine"\n', id="ignored"),
    ],
)
def test_the_change_that_breaks_its_rule_cannot_switch_it_off(copy: Copy, loosened: str) -> None:
    copy.repo.commit(files={"orchgate.toml": SMALL})
    copy.repo.stage("video", BIG)
    copy.repo.stage("orchgate.toml", loosened)

    code, said = copy.orchgate("check", "--staged")

    assert (code, "CFG001" in said) == (1, True), said


@pytest.mark.slow
def test_its_keys_are_read_and_wrong_ones_refused(copy: Copy) -> None:
    copy.repo.stage("orchgate.toml", "[large-files]\nmax-byte = 100\n")

    code, said = copy.orchgate("check", "--staged")

    assert (code, "did you mean" in said and "max-bytes" in said) == (2, True), said


@pytest.mark.slow
def test_its_rule_can_be_explained(copy: Copy) -> None:
    code, said = copy.orchgate("explain", "BIG001")

    assert (code, "a link to where the video is kept" in said) == (0, True), said


@pytest.mark.slow
def test_the_output_is_a_format(copy: Copy) -> None:
    copy.repo.commit(files={"orchgate.toml": SMALL})
    copy.repo.stage("video", BIG)

    assert copy.orchgate("check", "--staged", "large-files", "--output-format", "names") == (1, "video\n")


@pytest.mark.slow
def test_the_command_is_one(copy: Copy) -> None:
    assert copy.orchgate("where") == (0, f"{copy.repo.root}\n")
    assert "orchgate where" in copy.orchgate("where", "--help")[1]


@pytest.mark.slow
def test_the_layout_is_a_profile(copy: Copy) -> None:
    copy.repo.commit(files={"orchgate.toml": 'profile = "plans"\n'})
    copy.repo.stage("plans/faster-start/PRD.md", "# PRD - faster start\n")

    code, said = copy.orchgate("check", "--staged", "documents")

    assert (code, "plans/faster-start/PLAN.md" in said) == (1, True), said


MEASURED = """\
[performance]
pipeline = "p"
[performance.metrics]
traffic-bytes = { fail-above = 1.0 }
[[pipelines.p.stages]]
id = "a"
shell = "ls / > copy"
"""


@pytest.mark.slow
def test_the_metric_is_compared(copy: Copy) -> None:
    copy.repo.commit(files={"orchgate.toml": MEASURED, ".gitignore": ".runs/\nout/\ncopy\n"})
    copy.repo.commit("More", {"a.py": "1\n"})

    _, said = copy.orchgate("perf", "--base", "HEAD~1", "--max-pairs", "8")

    assert "\n  storage traffic" in said, said


@pytest.mark.slow
def test_a_metric_that_nobody_declares_is_refused_when_the_configuration_is_read(copy: Copy) -> None:
    copy.repo.stage("orchgate.toml", MEASURED.replace("traffic-bytes", "trafic-bytes"))

    code, said = copy.orchgate("check", "--staged")

    assert (code, "trafic-bytes" in said) == (2, True), said
