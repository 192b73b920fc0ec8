"""What the README says is true: its refused push is a real one, its claims are shown, its commands are enough."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()
# A package with tests, in the shape of many.
PROJECT = {
    "pyproject.toml": '[project]\nname = "pages"\nversion = "1.0"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
    ".gitignore": "__pycache__/\n.pytest_cache/\n",
    "src/pages/__init__.py": "def render(text: str) -> str:\n    return text.title()\n",
    "tests/test_pages.py": 'import pages\n\n\ndef test_render() -> None:\n    assert pages.render("a b") == "A B"\n',
}
SLOWER = (
    "def render(text: str) -> str:\n    sum(number * number for number in range(20_000_000))\n    return text.title()\n"
)


BEGINNINGS = "PRF001|  reproduce:|  to land|orchgate: refused|error: failed"  # of the lines that the README shows


def block(mark: str) -> str:
    """The one block of commands that is marked so."""
    (found,) = re.findall(rf"^```sh {mark}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return str(found)


def refused() -> list[str]:
    found = re.search(r"<!-- refused -->\n```console\n\$ git push\n(.*?)```\n<!-- /refused -->", README, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def without_numbers(line: str) -> str:
    """What stays the same from one machine and one repository to the next."""
    line = re.sub(r"\b[0-9a-f]{7,40}\b", "ID", line.strip())
    return re.sub(r"\d+(?:\.\d+)?(?: m?s)?\b", "N", line)


def at_any_load(line: str) -> str:
    """What stays the same on a busy machine, too: there, more pairs are needed, and other costs may show."""
    return without_numbers(re.sub(r"^(PRF001 \w+:|orchgate: refused) .*", r"\1", line.strip()))


def test_a_busy_machine_finds_the_same_refusal() -> None:
    more = (
        "PRF001 tests: CPU time +40.0 % (+36.1 % to +52.0 %; medians 1.1 s -> 1.5 s, +40.2 %) in stage tests; 6 pairs"
    )

    assert at_any_load(refused()[0]) == at_any_load(more) == "PRFN tests:"
    assert at_any_load(refused()[1]) != at_any_load(refused()[2])


def test_the_first_screen_has_the_refusal_the_commands_and_what_is_opt_in() -> None:
    screen = "\n".join(README.splitlines()[:42])

    assert [line[:20] for line in README.splitlines()[:1]] == ["# orchgate"]
    assert [block("try") in screen, "\norchgate init --measure\n" in screen] == [True, True]
    assert "| at once, with no set-up | when you ask for it |" in screen
    assert len(refused()) == 5  # and the command
    assert re.findall(r"^```sh(.*)$", README, re.MULTILINE)[0] == " try"
    assert README.count("\n") <= 200


def claims() -> list[str]:
    """Rows of the tables about what is checked and how it compares, and what orchgate is credited with there."""
    section = README.partition("## What is checked\n")[2].partition("## Use\n")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| check", "| | "))]
    return [row for row in rows if row.split("|")[2].strip() != "no"]


@pytest.mark.parametrize("row", claims(), ids=lambda row: row[:40])
def test_a_claim_names_what_shows_it(row: str) -> None:
    shown = re.findall(r"\]\(((?:tests|bench)/[\w./]+)\)", row)

    assert shown
    assert [path for path in shown if not (TOP / path).is_file()] == []


def test_every_page_that_is_linked_is_there() -> None:
    linked = [path for path in re.findall(r"\]\(([^)#]+)", README) if "://" not in path]

    assert linked
    assert [path for path in linked if not (TOP / path).exists()] == []


@pytest.mark.slow
def test_a_stranger_gets_from_nothing_to_a_refused_slow_push(tmp_path: Path) -> None:
    """ORCHGATE_UPDATE_DOCS=1 writes into the README how the push was refused.

    ORCHGATE_STRANGER names a clone of a public project to do it in, ORCHGATE_STRANGER_SLOWER what slows it down.
    """
    lines = block("yours").splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert (len(commands), len(lines)) == (3, 4)
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    slower = project(tmp_path, origin, clone)
    bin_ = os.path.dirname(sys.executable) + os.pathsep + os.path.dirname(ORCHGATE)
    env = {**os.environ, "PATH": bin_ + os.pathsep + os.environ["PATH"], "PRE_COMMIT_HOME": str(tmp_path / "hooks")}

    def run(command: str) -> tuple[int, str]:
        completed = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return completed.returncode, os.fsdecode(completed.stdout)

    for command in commands[:2]:
        code, said = run(command)
        assert code == 0, said
    slower()
    code, said = run(commands[2])

    assert code != 0, said
    assert "PRF001" in said, said
    if "ORCHGATE_STRANGER" in os.environ:
        return
    printed = [line for line in said.splitlines() if re.match(BEGINNINGS, line)]
    if os.environ.get("ORCHGATE_UPDATE_DOCS"):
        shown = "\n".join(printed)
        (TOP / "README.md").write_text(README.replace("\n".join(refused()), shown))
    else:
        assert [at_any_load(line) for line in refused()] == list(dict.fromkeys(map(at_any_load, printed)))


def project(tmp_path: Path, origin: Path, clone: Path) -> Callable[[], object]:
    """A clone with a remote, and what makes it slower."""

    def git(*words: str | Path, cwd: Path = tmp_path) -> None:
        subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True)

    if given := os.environ.get("ORCHGATE_STRANGER"):
        git("clone", "--quiet", "--bare", given, origin)
        git("clone", "--quiet", origin, clone)
        git("remote", "set-url", "origin", "../origin.git", cwd=clone)
        return lambda: subprocess.run(["bash", "-c", os.environ["ORCHGATE_STRANGER_SLOWER"]], cwd=clone, check=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", origin)
    git("clone", "--quiet", origin, clone)
    git("remote", "set-url", "origin", "../origin.git", cwd=clone)
    for path, content in PROJECT.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(content)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "Start", cwd=clone)
    git("push", "--quiet", "--set-upstream", "origin", "HEAD:main", cwd=clone)
    return lambda: (clone / "src/pages/__init__.py").write_text(SLOWER)
