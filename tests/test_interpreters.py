"""A changed program makes another question of the same trees; another way to the same program does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.speed.push.reach import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def program(path: Path, content: str = "#!/bin/sh\n") -> None:
    path.write_text(content)
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of programs: an interpreter, a script that it runs, and one that nobody names."""
    folder = tmp_path / "tools"
    folder.mkdir()
    program(folder / "interpreter", "\x7fELF")
    program(folder / "script", "#!/usr/bin/env interpreter\n")
    program(folder / "other")
    return folder


def asked(tools: Path, path: str = "", prepare: tuple[str, ...] = (), **stage: Any) -> tuple[object, ...]:
    performance = {"pipeline": "bench", "prepare": list(prepare)}
    pipelines = {
        "bench": {"stages": [{"id": "call", "pipeline": "inner"}]},
        "inner": {"stages": [{"id": "work", **stage}]},
    }
    config = build(Source("", {"performance": performance, "pipelines": pipelines}))
    return programs(config, str(tools.parent), {"PATH": path or f"{tools}:/usr/bin:/bin"})


def updated(tools: Path) -> None:
    program(tools / "interpreter", "\x7fELF 2")


def touched(tools: Path) -> None:
    os.utime(tools / "interpreter", (1, 1))


def linked(tools: Path) -> None:
    (tools / "interpreter").unlink()
    (tools / "interpreter").symlink_to(tools / "other")


def removed(tools: Path) -> None:
    (tools / "interpreter").unlink()


NAMING: list[dict[str, Any]] = [
    {"run": ["interpreter", "work.py"]},
    {"run": ["env", "A=1", "interpreter", "work.py"]},
    {"run": ["script"]},
    {"shell": "cd src && interpreter work.py"},
    {"shell": "interpreter 'work.py"},  # a quote that nobody closes
    {"run": ["other"], "prepare": ("interpreter", "-m", "venv")},
]


@pytest.mark.parametrize("change", [updated, touched, linked, removed])
@pytest.mark.parametrize("named", NAMING, ids=str)
def test_another_interpreter_is_another_question(
    tools: Path, named: dict[str, Any], change: Callable[[Path], None]
) -> None:
    before = asked(tools, **named)
    change(tools)

    assert asked(tools, **named) != before


def test_a_script_that_is_written_anew_is_the_same_and_with_other_content_is_not(tools: Path) -> None:
    before = asked(tools, run=["script"])
    os.utime(tools / "script", (1, 1))
    again = asked(tools, run=["script"])
    program(tools / "script", "#!/usr/bin/env interpreter\nexit\n")

    assert (again == before, asked(tools, run=["script"]) == before) == (True, False)


def test_a_program_that_nobody_names_does_not_matter(tools: Path) -> None:
    before = asked(tools, run=["interpreter", "work.py"])
    program(tools / "other", "#!/bin/sh\nexit 1\n")

    assert asked(tools, run=["interpreter", "work.py"]) == before


def test_another_path_is_another_question(tools: Path) -> None:
    here = asked(tools, run=["interpreter"])

    assert asked(tools, f"/usr/local/bin:{tools}:/usr/bin:/bin", run=["interpreter"]) != here


def test_what_git_puts_before_path_for_its_hooks_does_not_matter(tools: Path) -> None:
    here = asked(tools, run=["interpreter"])

    assert asked(tools, f"/usr/lib/git-core:{tools}:/usr/bin:/bin", run=["interpreter"]) == here


def test_a_stage_with_a_path_of_its_own_runs_what_is_there(tools: Path) -> None:
    own: dict[str, Any] = {"run": ["interpreter"], "env": {"PATH": str(tools)}}
    before = asked(tools, "/usr/bin:/bin", **own)
    updated(tools)

    assert asked(tools, "/usr/bin:/bin", **own) != before


@pytest.mark.parametrize("word", ["nowhere", "work/tool.py", "a\0b", "/nowhere/python", "x" * 5000])
def test_a_word_that_is_no_program_is_left_out(tools: Path, word: str) -> None:
    assert len(asked(tools, prepare=(word,), run=["interpreter"])) == len(asked(tools, run=["interpreter"]))
