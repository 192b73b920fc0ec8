"""`Performance-Override`: what it lifts, where it counts, and that everybody sees it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.repo import ORCHGATE, Repo, init

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TRAILER = "Performance-Override: the guide is worth it"
VARIABLE = "ORCHGATE_PERFORMANCE_OVERRIDE"
BOUNDED = "[performance.metrics]\ndiff-lines = { max = 10 }\n"
LONG = "word\n" * 11


@pytest.fixture
def bounded(repo: Repo) -> Repo:
    """A repository in which a change may have ten lines, and a branch beside main."""
    repo.commit("Start", {"orchgate.toml": BOUNDED})
    repo.git("checkout", "--quiet", "-b", "work")
    return repo


def said(repo: Repo, *args: str, **env: str) -> tuple[str, list[tuple[str, str]]]:
    """The verdict, and rule and severity of each finding."""
    report: dict[str, Any] = repo.report("performance", *(args or ("--base", "main")), env=env)
    return report["verdict"], [(one["rule"], one["severity"]) for one in report["diagnostics"]]


LIFTED = ("warn", [("PRF002", "warning"), ("PRF008", "note")])
REFUSED = ("fail", [("PRF002", "error")])


# Where it counts


@pytest.mark.parametrize("args", [("--base", "main"), ("--commit", "HEAD"), ("--all-files",)], ids=str)
def test_a_trailer_lifts_what_refuses_in_every_mode(bounded: Repo, args: tuple[str, ...]) -> None:
    bounded.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": LONG})

    assert said(bounded, *args) == LIFTED


def test_the_variable_lifts_it_too(bounded: Repo) -> None:
    bounded.commit("Explain", {"docs/a.txt": LONG})

    assert said(bounded, **{VARIABLE: "worth it"}) == LIFTED


@pytest.mark.parametrize("value", ["", "…"])
def test_a_reason_that_says_nothing_is_none(bounded: Repo, value: str) -> None:
    bounded.commit(f"Explain\n\nPerformance-Override: {value}", {"docs/a.txt": LONG})

    assert said(bounded, **{VARIABLE: value}) == REFUSED


def test_what_is_configured_to_refuse_is_lifted_all_the_same(bounded: Repo) -> None:
    bounded.commit("Refuse it", {"orchgate.toml": f'{BOUNDED}[severity]\nPRF002 = "error"\n'})
    bounded.git("branch", "-f", "main")
    bounded.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": LONG})

    assert said(bounded) == LIFTED


def test_a_repository_may_refuse_every_override(bounded: Repo) -> None:
    bounded.commit("None", {"orchgate.toml": f'{BOUNDED}[severity]\nPRF008 = "error"\n'})
    bounded.git("branch", "-f", "main")
    bounded.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": LONG})

    assert said(bounded) == ("fail", [("PRF002", "warning"), ("PRF008", "error")])


def test_an_override_that_nothing_needs_is_shown(bounded: Repo) -> None:
    bounded.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": "short\n"})

    assert said(bounded) == ("pass", [("PRF008", "note")])


def test_the_note_says_reason_and_source(bounded: Repo) -> None:
    oid = bounded.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": LONG})

    told = bounded.orchgate("check", "performance", "--base", "main").out
    assert f"PRF008 (note) override: the guide is worth it (Performance-Override, commit {oid[:12]}); 1 finding" in told


# Merges: a pipeline is measured as a whole


def merged(repo: Repo, message: str) -> None:
    """Merges a branch with a long text, whose commit gives a reason, into `work`; `message` is the merge's."""
    repo.commit("Own work", {"src.txt": "x\n"})
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit(f"Explain\n\n{TRAILER}", {"docs/a.txt": LONG})
    repo.git("checkout", "--quiet", "work")
    repo.git("merge", "--quiet", "--no-ff", "-m", message, "side")


def test_a_trailer_that_only_came_along_with_a_merge_excuses_nothing_and_is_named(bounded: Repo) -> None:
    merged(bounded, "Merge it")

    told = bounded.orchgate("check", "performance", "--base", "main")

    assert (told.code, "PRF008 (note) override that does not count: the guide" in told.out) == (1, True), told.out


def test_the_message_of_the_merge_itself_excuses_it(bounded: Repo) -> None:
    merged(bounded, f"Merge it\n\n{TRAILER}")

    assert said(bounded) == LIFTED


# The way out


def test_a_refusal_names_a_command_that_takes_a_reason_and_gives_none(bounded: Repo) -> None:
    bounded.commit("Explain", {"docs/a.txt": LONG})
    told = bounded.orchgate("check", "performance", "--base", "main").out
    (command,) = re.findall(r"to land it for a reason: (git commit .*)$", told, re.MULTILINE)

    pasted = bounded.attempt("sh", "-c", command)
    verdict = said(bounded)
    bounded.attempt("sh", "-c", command.replace("…", "it is worth it"))

    assert (pasted.code, verdict, said(bounded)) == (0, REFUSED, LIFTED), told


def test_at_commit_time_the_message_decides(bounded: Repo) -> None:
    for hook in ("pre-commit", "commit-msg"):
        bounded.write(f".git/hooks/{hook}", f'#!/bin/sh\nexec "{ORCHGATE}" hook {hook} "$@"\n')
        (bounded.root / ".git" / "hooks" / hook).chmod(0o755)
    bounded.stage("docs/a.txt", LONG)

    refused = bounded.attempt("git", "commit", "-m", "Explain")
    landed = bounded.attempt("git", "commit", "-m", f"Explain\n\n{TRAILER}")

    assert (refused.code, landed.code, "PRF008 (note)" in landed.out) == (1, 0, True), landed.out


# Measured


def project(repo: Repo, remote: Path, work: str) -> Repo:
    """A repository whose pushes run `work.py`, as it is on its remote's main."""
    hook = repo.root / ".git" / "hooks" / "pre-push"
    stage = f'[[pipelines.bench.stages]]\nid = "work"\nrun = ["{sys.executable}", "work.py"]\n'
    repo.commit("Start", {"orchgate.toml": f'[performance]\npipeline = "bench"\n{stage}', "work.py": work})
    init(remote, "--bare")
    repo.git("remote", "add", "origin", str(remote))
    repo.git("push", "--quiet", "-u", "origin", "main")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nexec "{ORCHGATE}" hook pre-push "$@"\n')
    hook.chmod(0o755)
    return repo


BROKEN = "raise SystemExit(3)\n"


def test_a_push_that_breaks_its_pipeline_lands_with_a_reason_that_no_stage_sees(repo: Repo, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    project(repo, tmp_path / "remote.git", "print(1)\n")
    telling = f"import os\nopen({str(seen)!r}, 'w').write(os.environ.get({VARIABLE!r}, 'nothing'))\n"
    repo.commit("Break it", {"work.py": telling + BROKEN})

    refused = repo.attempt("git", "push", "origin", "main")
    landed = repo.attempt("git", "push", "origin", "main", env={VARIABLE: "known, mended tomorrow"})

    assert (refused.code, f"{TRAILER[:20]}: …" in refused.out, seen.read_text()) == (1, True, "nothing"), refused.out
    assert landed.code == 0, landed.out
    assert [word for word in ("PRF005 (warning)", "known, mended tomorrow") if word not in landed.out] == []


@pytest.fixture
def broken(repo: Repo, tmp_path: Path) -> Repo:
    """A repository whose pipeline fails at base."""
    return project(repo, tmp_path / "remote.git", BROKEN)


def test_a_change_beside_a_pipeline_that_fails_on_both_sides_lands_with_a_warning(broken: Repo) -> None:
    broken.commit("Elsewhere", {"lib/other.py": "x = 1\n"})

    told = broken.attempt("git", "push", "origin", "main")

    assert (told.code, "PRF003 (warning) bench fails at base too" in told.out) == (0, True), told.out
    assert "the change touches nothing that it runs" in told.out


def test_a_change_to_a_pipeline_that_fails_on_both_sides_needs_a_reason(broken: Repo) -> None:
    broken.commit("Fail otherwise", {"work.py": f"# why?\n{BROKEN}"})

    told = broken.attempt("git", "push", "origin", "main")
    hook = broken.orchgate("check", "performance", "--base", "origin/main")
    landed = broken.attempt("git", "push", "origin", "main", env={VARIABLE: "known"})

    assert (told.code, hook.code, "Performance-Override: …" in hook.out) == (1, 3, True), hook.out
    assert (landed.code, "PRF008 (note) override: known" in landed.out) == (0, True), landed.out
