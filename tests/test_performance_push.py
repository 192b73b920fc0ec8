"""What is pushed is measured: real git, real pre-commit, a bare remote, and pipelines that really run."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from orchgate.config.load import load_work_tree
from orchgate.runs import ids
from orchgate.runs.machine import fingerprint
from orchgate.runs.pipeline import load_all
from orchgate.runs.stages import pipeline_hash
from orchgate.verdict import baseline
from tests.baselines import record
from tests.repo import ORCHGATE, PRE_COMMIT, Repo, Result, init

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HOOKS = f"""\
default_install_hook_types: [pre-commit, pre-push]
repos:
  - repo: local
    hooks:
      - id: orchgate-performance
        name: orchgate performance
        entry: {ORCHGATE} check performance
        language: system
        pass_filenames: false
        always_run: true
        require_serial: true
        verbose: true
        stages: [pre-push, manual]
"""
CONFIG = f"""\
[performance]
pipeline = "bench"
max-seconds = 120
[[pipelines.bench.stages]]
id = "load"
run = ["{sys.executable}", "-I", "-S", "work/load.py"]
[[pipelines.bench.stages]]
id = "crunch"
run = ["{sys.executable}", "-I", "-S", "work/crunch.py"]
"""
LOAD = "print(sum(range(1000)))\n"
ROUNDS = 150_000  # a tenth of a second


def crunch(rounds: int) -> str:
    return f'import hashlib\nhashlib.pbkdf2_hmac("sha256", b"a", b"b", {rounds})\n'


FAST = crunch(ROUNDS)
# Far more than the smallest change that can be seen: the machine that runs this suite is busy with the rest of it.
SLOW = crunch(2 * ROUNDS)
A_FIFTH_SLOWER = crunch(ROUNDS * 5 // 4)  # a fifth of the whole pipeline
SAME = "# said better\n" + FAST
MANIFEST = ".runs/0001-a/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json"
WRITING = f"""\
import os
os.makedirs(os.path.dirname("{MANIFEST}"), exist_ok=True)
for _ in range(NUMBER):
    open("{MANIFEST}", "w").close()
"""
BASELINE = ".orchgate/baseline.json"
FAILING = "raise SystemExit(3)\n"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))


@pytest.fixture
def repo(repo: Repo, tmp_path: Path) -> Repo:
    """A repository with a pipeline of two stages that is gated, and whose main is on a bare remote."""
    files = {"orchgate.toml": CONFIG, "work/load.py": LOAD, "work/crunch.py": FAST, ".gitignore": ".runs/\nout/\n"}
    repo.commit("Start", {**files, ".pre-commit-config.yaml": HOOKS})
    init(tmp_path / "remote.git", "--bare")
    repo.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    repo.git("push", "--quiet", "-u", "origin", "main")
    assert repo.attempt(PRE_COMMIT, "install").code == 0
    return repo


def push(repo: Repo, *args: str) -> Result:
    return repo.attempt("git", "push", *(args or ("origin", "main")))


def work_trees(repo: Repo) -> list[str]:
    return [line for line in repo.git("worktree", "list", "--porcelain").splitlines() if line.startswith("worktree ")]


# The main story


def test_a_push_that_is_a_fifth_slower_is_refused_and_the_stage_named(repo: Repo) -> None:
    repo.commit("Crunch a little more", {"work/crunch.py": A_FIFTH_SLOWER})

    told = push(repo)

    assert (told.code, "in stage crunch" in told.out) == (1, True), told.out


def test_a_slower_push_is_refused_and_the_stage_named(repo: Repo) -> None:
    repo.commit("Crunch twice", {"work/crunch.py": SLOW})

    told = push(repo)

    assert (told.code, "PRF001" in told.out, "crunch" in told.out) == (1, True, True), told.out


def test_the_same_push_without_the_slow_down_goes_through(repo: Repo) -> None:
    repo.commit("Say it better", {"work/crunch.py": SAME})

    told = push(repo)

    assert (told.code, "measured pair" in told.out) == (0, True), told.out


def test_a_push_of_documents_is_not_measured(repo: Repo) -> None:
    repo.commit("Explain", {"docs/guide.md": "# Guide\n", "README.md": "# Readme\n"})

    told = push(repo)

    assert (told.code, "measured pair" in told.out) == (0, False), told.out


def test_a_script_among_documents_is_measured_where_the_pipeline_runs_it(repo: Repo) -> None:
    repo.commit("Move", {"docs/load.py": LOAD, "orchgate.toml": CONFIG.replace("work/load.py", "docs/load.py")})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Break", {"docs/load.py": FAILING})

    told = push(repo)

    assert (told.code, "stage load fails at head: exit 3" in told.out) == (1, True), told.out


@pytest.fixture
def writing(repo: Repo) -> Repo:
    """`repo` with a pipeline that writes one manifest at base and two at head."""
    # What refuses is the count; a time that may have grown as well is measured on for as long as the budget allows.
    shorter = CONFIG.replace("max-seconds = 120", "max-seconds = 20")
    repo.commit("Write once", {"orchgate.toml": shorter, "work/load.py": WRITING.replace("NUMBER", "1")})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Write twice", {"work/load.py": WRITING.replace("NUMBER", "2")})
    return repo


def test_one_more_manifest_write_is_refused_by_its_count_and_shown_on_the_page(writing: Repo) -> None:
    told = push(writing)
    writing.orchgate("report", "-o", "page.html")
    page = (writing.root / "page.html").read_text()

    assert (told.code, "PRF002 bench: manifest writes 1 -> 2" in told.out) == (1, True), told.out
    assert ("measured in turn" in page, "Nothing was compared" in page) == (True, False)
    assert ("Passed, but for speed" in page, "lets this through" in page) == (True, False)


def test_a_second_push_of_the_same_tree_is_answered_from_the_record(writing: Repo) -> None:
    push(writing)
    writing.git("commit", "--quiet", "--no-verify", "--amend", "-m", "Other words for the same tree")

    told = push(writing)

    assert (told.code, "PRF002" in told.out, "1 recorded verdict" in told.out) == (1, True, True), told.out


def test_a_measurement_announces_itself(writing: Repo) -> None:
    told = push(writing)

    assert "for up to 20 s" in told.out


def test_a_push_leaves_no_work_tree_of_its_own_in_the_way(writing: Repo) -> None:
    before = writing.git("status", "--porcelain")
    push(writing)

    assert (writing.git("status", "--porcelain"), os.listdir(writing.root)) == (before, os.listdir(writing.root))


# What is measured


def test_a_commit_is_not_measured(repo: Repo) -> None:
    repo.stage("work/crunch.py", SLOW)
    report = repo.report("--staged", "performance")

    assert (report["verdict"], report["checks"][0]["examined"]) == ("pass", {"measured pairs": 0})


def test_a_whole_tree_is_not_measured_in_passing(writing: Repo) -> None:
    (result,) = [one for one in writing.report("--all-files")["checks"] if one["id"] == "performance"]

    assert result["facts"] == {"not measured": "a whole tree is measured only by name: `orchgate check performance`"}


def test_a_whole_tree_is_measured_by_name(writing: Repo) -> None:
    result = writing.attempt(PRE_COMMIT, "run", "--all-files", "--hook-stage", "manual", "orchgate-performance")

    assert (result.code, "PRF002" in result.out) == (1, True), result.out


def test_work_in_progress_is_measured_by_name_as_of_the_last_commit(writing: Repo) -> None:
    writing.stage("work/load.py", FAILING)

    assert "PRF002 bench: manifest writes 1 -> 2" in writing.orchgate("check", "performance").out


def test_the_native_hook_measures_too(writing: Repo) -> None:
    (writing.root / ".git" / "hooks" / "pre-push").write_text(f'#!/bin/sh\nexec "{ORCHGATE}" hook pre-push "$@"\n')

    told = push(writing)

    assert (told.code, "PRF002" in told.out) == (1, True), told.out


def test_only_relevant_paths_are_measured(writing: Repo) -> None:
    only_source = CONFIG.replace("max-seconds", 'paths = ["src/**"]\nmax-seconds')
    writing.commit("Name what is relevant", {"orchgate.toml": only_source})
    writing.git("push", "--quiet", "--no-verify", "origin", "main")
    writing.commit("Write thrice", {"work/load.py": WRITING.replace("NUMBER", "3")})

    told = push(writing)

    assert (told.code, "measured pair" in told.out) == (0, False), told.out


def test_a_revert_to_the_same_files_is_not_measured(repo: Repo) -> None:
    repo.commit("Slower", {"work/crunch.py": SLOW})
    repo.commit("As before", {"work/crunch.py": FAST})
    repo.commit("Nothing")

    assert "measured pair" not in push(repo).out


def test_a_pipeline_is_measured_as_if_no_hook_stood_around_it(repo: Repo, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    telling = f"import json, os\nopen({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))\n" + WRITING
    repo.commit("Tell", {"work/load.py": telling.replace("NUMBER", "1")})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = Repo(tmp_path / "side")
    side.commit("Write twice", {"work/load.py": telling.replace("NUMBER", "2")})
    assert push(side, "origin", "side").code == 1

    leaked = [name for name in json.loads(seen.read_text()) if name.startswith(("PRE_COMMIT", "GIT_DIR", "GIT_INDEX"))]

    assert leaked == []


# What cannot be compared


def test_a_head_that_fails_is_refused_for_that_and_not_for_its_speed(repo: Repo) -> None:
    repo.commit("Break", {"work/crunch.py": FAILING})

    told = push(repo)

    assert (told.code, "PRF005" in told.out, "stage crunch fails at head: exit 3" in told.out) == (1, True, True)


def test_a_base_that_fails_does_not_hold_up_what_mends_it(repo: Repo) -> None:
    repo.commit("Break", {"work/crunch.py": FAILING})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Mend", {"work/crunch.py": FAST})

    told = push(repo)

    assert (told.code, "PRF003 (warning)" in told.out, "crunch fails at base" in told.out) == (0, True, True), told.out


def test_a_pipeline_that_fails_on_both_sides_cannot_be_judged(repo: Repo) -> None:
    repo.commit("Break", {"work/crunch.py": FAILING})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Break otherwise", {"work/crunch.py": "# why?\n" + FAILING})

    told = repo.orchgate("check", "performance")

    assert (told.code, "bench fails at base too" in told.out) == (3, True), told.out
    assert f"to see why: {sys.executable} -I -S work/crunch.py\n" in told.out


def test_a_pipeline_that_only_the_change_defines_has_no_base(repo: Repo) -> None:
    gated = CONFIG.replace("bench", "other").replace('pipeline = "other"', 'pipeline = "bench"')
    repo.commit("Gate what is not there", {"orchgate.toml": gated})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Define it", {"orchgate.toml": CONFIG, "work/load.py": "# now\n" + LOAD})

    told = push(repo)

    assert (told.code, "PRF007 (note) pipeline bench is new" in told.out) == (0, True), told.out


def test_a_head_without_the_pipeline_is_judged_by_that_of_the_base(repo: Repo) -> None:
    other = CONFIG.replace("pipelines.bench", "pipelines.other").replace('pipeline = "bench"', 'pipeline = "other"')
    repo.commit("Drop it", {"orchgate.toml": other.replace("crunch.py", "load.py"), "work/crunch.py": FAILING})

    told = repo.orchgate("check", "performance")

    assert (told.code, "removes pipeline bench: it is gone from the next push on" in told.out) == (1, True), told.out


def test_a_first_push_has_nothing_to_be_compared_with(repo: Repo, tmp_path: Path) -> None:
    repo.git("remote", "remove", "origin")
    init(tmp_path / "empty.git", "--bare")
    repo.git("remote", "add", "empty", str(tmp_path / "empty.git"))

    told = push(repo, "empty", "main")

    assert (told.code, "PRF003 (note)" in told.out) == (0, True), told.out


def test_a_bare_repository_has_no_place_to_measure_in(writing: Repo, tmp_path: Path) -> None:
    writing.git("push", "--quiet", "--no-verify", "origin", "main:topic")
    remote = Repo(tmp_path / "remote.git")

    told = remote.orchgate("check", "performance", "--base", "main", "--head", "topic")

    assert (told.code, "a bare repository has no work tree to run a pipeline in" in told.out) == (3, True), told.out


def test_a_whole_tree_in_a_bare_repository_is_judged_without_it(writing: Repo, tmp_path: Path) -> None:
    assert Repo(tmp_path / "remote.git").report("--all-files")["verdict"] == "pass"


# Time


# Waiting takes as long on every machine: eight pairs never fit into the budget, and one run always does.
LONG = "import time\ntime.sleep(0.5)\n" + FAST
SHORT_BUDGET = CONFIG.replace("max-seconds = 120", "max-seconds = 1.9")
BLOCKING = SHORT_BUDGET.replace("[performance]", '[performance]\ninconclusive = "block"')


@pytest.fixture
def hurried(repo: Repo) -> Repo:
    """`repo` with a pipeline of which no eight pairs fit into the budget, and a change to it."""
    repo.commit("Take long", {"orchgate.toml": SHORT_BUDGET, "work/crunch.py": LONG})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Say it better", {"work/crunch.py": "# better\n" + LONG})
    return repo


def test_too_little_time_is_a_warning_that_says_how_to_settle_it(hurried: Repo) -> None:
    told = push(hurried)

    assert (told.code, "PRF004 (warning)" in told.out, "orchgate perf --base" in told.out) == (0, True, True), told.out


def test_too_little_time_can_refuse_a_push_without_calling_it_slow(hurried: Repo) -> None:
    hurried.commit("Block", {"orchgate.toml": BLOCKING})
    hurried.git("push", "--quiet", "--no-verify", "origin", "main")
    hurried.commit("Say it worse", {"work/crunch.py": LONG})

    report = hurried.report("performance")

    assert (report["verdict"], [one["rule"] for one in report["diagnostics"]]) == ("inconclusive", ["PRF004"])


def test_what_is_inconclusive_and_blocks_ends_in_3(hurried: Repo) -> None:
    hurried.commit("Block", {"orchgate.toml": BLOCKING})
    hurried.git("push", "--quiet", "--no-verify", "origin", "main")
    hurried.commit("Say it worse", {"work/crunch.py": LONG})

    assert hurried.orchgate("check", "performance").code == 3


# Against the stored baseline


def accept(repo: Repo, cpu_seconds: float, **others: float) -> None:
    """Puts a baseline of this kind of machine on the remote's main, and commits a change that has no effect."""
    pipelines = load_all(str(repo.root), load_work_tree(str(repo.root)))
    samples = {"cpu_seconds": cpu_seconds, "manifest_writes": 0, "success_rate": 1, **others}
    accepted = record(
        "bench",
        str(fingerprint()["fingerprint"]),
        pipeline_hash=pipeline_hash(pipelines, pipelines["bench"]),
        recorded_at=ids.moment(time.time()),
        samples={name: (value,) * 10 for name, value in samples.items()},
    )
    repo.commit("Keep a baseline", {BASELINE: baseline.render(baseline.Baseline({accepted.place: accepted}))})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Say it worse", {"work/crunch.py": LONG})


@pytest.fixture
def stored(hurried: Repo) -> Repo:
    """`hurried` with a baseline that no machine is slower than."""
    accept(hurried, 5.0)
    return hurried


def test_a_run_that_looks_like_the_baseline_passes(stored: Repo) -> None:
    (result,) = stored.report("performance")["checks"]

    assert (result["verdict"], result["examined"]["screened runs"]) == ("pass", 1)


def test_a_counter_above_the_baseline_is_confirmed_in_pairs(hurried: Repo) -> None:
    accept(hurried, 5.0, wall_seconds=30.0)  # of which six pairs fit, and five agreeing ones are needed
    hurried.commit("Write", {"work/load.py": WRITING.replace("NUMBER", "1")})

    told = push(hurried)

    assert (told.code, "PRF002 bench: manifest writes 0 -> 1" in told.out) == (1, True), told.out


def test_a_time_above_the_baseline_is_a_suspicion_and_no_refusal(hurried: Repo) -> None:
    accept(hurried, 0.01, wall_seconds=40.0)  # of which only a few pairs fit

    told = push(hurried)

    assert (told.code, "looks worse than the stored baseline" in told.out, "3 pairs" in told.out) == (0, True, True), (
        told.out
    )


def test_a_baseline_of_another_definition_than_the_base_s_is_said_to_be_one(stored: Repo) -> None:
    more = SHORT_BUDGET + '[[pipelines.bench.stages]]\nid = "more"\nrun = ["true"]\n'
    stored.commit("One stage more", {"orchgate.toml": more})
    stored.git("push", "--quiet", "--no-verify", "origin", "main")
    stored.commit("Say it worse", {"work/crunch.py": "# worse\n" + LONG})

    told = push(stored)

    assert "PRF003 (warning) bench was not compared: the stored baseline" in told.out, told.out


def test_a_baseline_that_cannot_be_read_is_said_and_does_not_hold_up_what_mends_it(hurried: Repo) -> None:
    hurried.commit("Break the baseline", {BASELINE: "<<<<<<< ours\n"})
    hurried.git("push", "--quiet", "--no-verify", "origin", "main")
    hurried.commit("Mend it", {BASELINE: '{\n  "version": 1\n}\n', "work/load.py": "# now\n" + LOAD})

    told = push(hurried)

    assert (told.code, "PRF003 (warning)" in told.out, "unresolved merge conflict" in told.out) == (0, True, True)


# Bounds


def bounded(bounds: str) -> str:
    return CONFIG.replace(
        "[[pipelines.bench.stages]]", f"[performance.metrics]\n{bounds}\n[[pipelines.bench.stages]]", 1
    )


def test_a_change_larger_than_its_bound_is_refused_without_being_measured(repo: Repo) -> None:
    repo.commit("Bound it", {"orchgate.toml": bounded("diff-lines = { max = 10 }")})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.commit("Explain at length", {"docs/guide.md": "word\n" * 11})

    told = push(repo)

    assert (told.code, "PRF002 changed lines: 11 is above its maximum of 10" in told.out) == (1, True), told.out


def test_the_rates_of_recorded_runs_can_be_bounded(repo: Repo) -> None:
    config = bounded("success-rate = { min = 0.9 }").replace("[performance]", '[performance]\ntask = "0001-demo"')
    repo.commit("Bound it", {"orchgate.toml": config, "work/crunch.py": FAILING})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    repo.orchgate("run", "bench", "--task", "0001-demo")
    repo.commit("Mend it", {"work/crunch.py": FAST})

    told = push(repo)

    assert (told.code, "PRF005 success rate of the recorded runs of bench" in told.out) == (1, True), told.out


def test_the_checks_that_come_after_a_measurement_are_not_disturbed_by_it(writing: Repo) -> None:
    report = writing.report("--base", "origin/main")

    assert [one["id"] for one in report["checks"] if one["troubles"]] == []


def test_a_change_cannot_raise_the_bound_that_refuses_it(repo: Repo) -> None:
    repo.commit("Write once", {"work/load.py": WRITING.replace("NUMBER", "1")})
    repo.git("push", "--quiet", "--no-verify", "origin", "main")
    looser = {
        "orchgate.toml": bounded("manifest-writes = { block = 5 }"),
        "work/load.py": WRITING.replace("NUMBER", "2"),
    }
    repo.commit("Write twice, and allow it", looser)

    report = repo.report("performance", "configuration", "--base", "origin/main")

    assert [one["rule"] for one in report["diagnostics"] if one["severity"] == "error"] == ["PRF002", "CFG001"]
