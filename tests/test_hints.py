"""A hint is a bare command that works when pasted, or a sentence in which commands stand in backticks; never both.

tests/test_cases.py holds every hint of the case folders to it; here are those of them that can be run, and the source.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from tests.command_lines import MENTIONED, hint_fault
from tests.support import judge_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.repo import Repo

TOP = Path(__file__).parent.parent
# Of every command that a hint of the case folders names, one case; `resume` would run what the recorded run ran.
CASES = (
    "evidence/fail-only-on-this-machine",
    "evidence/fail-pinned-run-did-not-succeed",
    "manifests/fail-a-june-key-missing",
    "manifests/fail-cited-with-a-relative-path",
    "manifests/fail-own-log-path-absolute",
    "specs/fail-only-document-deleted",
)


def hints_of(case: Path) -> set[str]:
    check = importlib.import_module(f"orchgate.checks.{case.parent.name.replace('-', '_')}").CHECK
    base, scope = case / "base", case / "SCOPE"
    tree = scope.exists() and scope.read_text().strip() == "tree"
    outcome = judge_folder(check, case / "repo", base if base.exists() else None, tree=tree)
    return {*(one.hint for one in outcome.findings), *(one.hint for one in outcome.troubles)}


@pytest.mark.parametrize("name", CASES)
def test_a_hint_of_a_case_runs_there(
    name: str, repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = TOP / "tests" / "cases" / name
    commands = [hint.partition(" && ")[0] for hint in hints_of(case) if hint.startswith("orchgate ")]
    for path in sorted((case / "repo").rglob("*")):
        if path.is_file() and not path.is_symlink():
            repo.write(str(path.relative_to(case / "repo")), path.read_bytes())
    monkeypatch.chdir(repo.root)

    codes = {command: main(shlex.split(command)[1:]) for command in commands}

    assert commands
    assert {command: code for command, code in codes.items() if code not in (0, 1, 3)} == {}, capsys.readouterr().err


@pytest.mark.parametrize(
    ("hint", "fault"),
    [
        ("orchgate evidence pin", ""),
        ("correct the path, or remove the link", ""),
        ("run `orchgate evidence pin` in the clone that has the run", ""),
        ("orchgate evidence pin, then git add .orchgate", "unknown verb pin,; did you mean pin?"),
        ("fix it, then orchgate evidence pin", "a command outside of backticks"),
        ("run `orchgate perf --xyz`", "orchgate perf --xyz: unknown option --xyz"),
        ("git commit --no-verify", "advertises --no-verify"),
        ("git status shows it; git add it", "neither a command nor a sentence"),
    ],
)
def test_what_is_wrong_with_a_hint(hint: str, fault: str) -> None:
    assert hint_fault(hint) == fault


# The texts of the source


def texts(path: Path) -> Iterator[str]:
    """The strings of a module, docstrings aside; what an f-string puts in is made up."""
    source = path.read_text()
    if not MENTIONED.search(source):
        return
    nodes = list(ast.walk(ast.parse(source)))
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    lone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | lone:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "9" for part in node.values)


# Not hints: usage lines, names of commands, what a hook calls, and lines of files that others read.
NO_HINTS = re.compile(
    r"orchgate (perf|bisect|observe|scan) .*\[|orchgate try <|orchgate [a-z]+( [a-z]+)?$|orchgate bisect --fresh$"
    r"|# written"
)
OF_FILES = re.compile(
    r"entry: |name: |- (run: )?orchgate|exec orchgate|<!-- |<meta |\{.reportFormat|# |\^|.*orchgate hook (9|NAME)"
)
OF_CHOICES = {"--print-job 9": "--print-job github", "--ci 9": "--ci github", "--runner 9": "--runner prek"}


@pytest.mark.slow
def test_a_command_in_a_text_of_the_source_is_one() -> None:
    found = {}
    for path in sorted((TOP / "orchgate").rglob("*.py")):
        for line in (line.strip() for text in texts(path) for line in text.splitlines() if MENTIONED.search(line)):
            hint = line.removeprefix("hint: ").removeprefix("why: ")
            for option, chosen in OF_CHOICES.items():
                hint = hint.replace(option, chosen)
            if not NO_HINTS.match(hint) and not OF_FILES.match(hint) and (fault := hint_fault(hint)):
                found[f"{path.relative_to(TOP)}: {hint}"] = fault

    assert found == {}
