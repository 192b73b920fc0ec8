"""Cheap checks speak first, and what they refuse is not measured: real pushes to a bare remote."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE, Repo, Result, init

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

CONFIG = f"""\
[diff-budget]
max-files = 3
[performance]
pipeline = "bench"
[[pipelines.bench.stages]]
id = "work"
run = ["{sys.executable}", "-I", "-S", "work.py"]
"""
FAILING = "raise SystemExit(3)\n"
REASON = "Diff-Budget-Override: generated"


@pytest.fixture
def gated(repo: Repo, tmp_path: Path) -> Repo:
    """A repository whose pushes are measured and may touch three files; on its remote's main."""
    hook = f'#!/bin/sh\nexec "{ORCHGATE}" hook $OPTIONS pre-push "$@"\n'
    repo.commit("Start", {"orchgate.toml": CONFIG, "work.py": "print(1)\n", "hooks/pre-push": hook})
    (repo.root / "hooks" / "pre-push").chmod(0o755)
    repo.git("config", "core.hooksPath", "hooks")
    init(tmp_path / "remote.git", "--bare")
    repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    repo.git("push", "--quiet", "--no-verify", "-u", "origin", "main")
    return repo


@pytest.fixture
def ran(gated: Repo, tmp_path: Path) -> Callable[[], bool]:
    """Breaks the pipeline of what comes; the fixture's value says whether it was run."""
    mark = tmp_path / "ran"
    gated.commit("Break it", {"work.py": f"open({str(mark)!r}, 'w').close()\n{FAILING}"})
    return mark.exists


def push(repo: Repo, *refs: str, **env: str) -> Result:
    return repo.attempt("git", "push", "origin", *(refs or ("main",)), env=env)


def many(prefix: str, number: int = 5) -> dict[str, str | bytes]:
    return {f"{prefix}/{count}.py": "x\n" for count in range(number)}


def test_what_the_other_checks_say_is_there_before_the_measurement_and_said_once(
    gated: Repo, ran: Callable[[], bool]
) -> None:
    gated.commit(f"Generate\n\n{REASON}", many("src"))

    told = push(gated)
    said = [
        word
        for line in told.out.splitlines()
        for word in ("DIF004", "measuring bench", "PRF005")
        if word in line and "explain" not in line
    ]

    assert (told.code, ran(), said) == (1, True, ["DIF004", "measuring bench", "PRF005"]), told.out


def test_a_push_that_is_refused_already_is_not_measured_and_says_so(gated: Repo, ran: Callable[[], bool]) -> None:
    gated.commit("Too much", many("src"))

    told = push(gated)

    assert (told.code, ran(), "bench was not measured: the push is refused already" in told.out) == (1, False, True)
    assert "to measure it now: orchgate perf --base" in told.out


def test_it_is_measured_all_the_same_where_somebody_asks(gated: Repo, ran: Callable[[], bool]) -> None:
    gated.commit("Too much", many("src"))

    told = push(gated, OPTIONS="--measure-anyway")

    assert (told.code, ran(), "DIF001" in told.out, "PRF005" in told.out) == (1, True, True, True), told.out


def test_a_program_gets_one_document(gated: Repo, ran: Callable[[], bool]) -> None:
    gated.commit("Too much", many("src"))

    report = gated.report("--base", "origin/main")

    assert [one["rule"] for one in report["diagnostics"]] == ["DIF001", "PRF004"]
    assert not ran()


def test_a_ref_is_not_measured_where_another_one_of_the_push_is_refused(gated: Repo, ran: Callable[[], bool]) -> None:
    gated.git("branch", "topic", "origin/main")
    gated.git("checkout", "--quiet", "topic")
    gated.commit("Too much", many("src"))

    told = push(gated, "main", "topic")

    assert (told.code, ran(), "DIF001" in told.out) == (1, False, True), told.out
    assert told.out.index("DIF001") < told.out.index("was not measured: the push is refused already")


@pytest.mark.usefixtures("ran")
def test_several_refs_are_all_judged_before_the_first_is_measured(gated: Repo) -> None:
    gated.git("checkout", "--quiet", "-b", "topic", "origin/main")
    gated.commit(f"Generate\n\n{REASON}", {**many("src"), "work.py": FAILING})

    told = push(gated, "main", "topic")
    words = ("DIF004", "measuring bench", "PRF005", "orchgate: refused")
    said = [word for line in told.out.splitlines() for word in words if word in line and "explain" not in line]

    assert (told.code, said) == (1, ["DIF004", *(["measuring bench", "PRF005", "orchgate: refused"] * 2)]), told.out
