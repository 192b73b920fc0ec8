"""Pipelines of which eight pairs do not fit into a push: never run in vain, held to what is on record, open otherwise.

Recorded runs are made up, so that no answer hangs on how fast this machine is today.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.cli import main
from orchgate.config.load import load
from orchgate.git.repository import open_repository
from orchgate.metrics.tail import TAIL_BYTES
from orchgate.runs import ids
from orchgate.runs.machine import fingerprint
from orchgate.speed.push import recorded_runs, screening
from orchgate.speed.push.bounds import PushRequest
from orchgate.speed.push.verdict_record import RunDuration
from orchgate.verdict import baseline
from orchgate.verdict.baseline import Baseline
from tests.baselines import record
from tests.repo import ORCHGATE, Repo, init

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchgate.speed.push.recorded_runs import RecordedRuns

CONFIG = """\
[performance]
pipeline = "bench"
budget-seconds = {budget}
inconclusive = "{inconclusive}"
[[pipelines.bench.stages]]
id = "work"
run = ["{python}", "-I", "-S", "work.py"]
"""
METRICS = ".runs/0001-a/metrics.json"
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MACHINE = str(fingerprint()["fingerprint"])


class Pushed(NamedTuple):
    """A repository with a base (main, which a bare remote has) and a head that is to be pushed."""

    repo: Repo
    log: Path  # where every run of the pipeline leaves a line

    @property
    def runs(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def tree(self, revision: str = "main") -> str:
        return self.repo.git("rev-parse", revision + "^{tree}")

    def check(self) -> tuple[int, str]:
        told = self.repo.orchgate("check", "performance", "--base", "main")
        return told.code, told.out

    def remember(self, count: int, wall: float, *, path: str = METRICS, **other: Any) -> None:
        """Puts runs of base on record that took so many seconds."""
        given = {"tree": self.tree(), **other}
        lines = b"".join(line(number, wall, **given) for number in range(count))
        with open_appending(self.repo.root / path) as file:
            file.write(lines)


def open_appending(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def line(number: int, wall: float, **other: Any) -> bytes:
    entry = {
        "entry": 1,
        "run_id": f"2026-02-01T12-00-{number % 60:02d}-{number % 1000:03d}Z-{number:08x}",
        "task_id": "0001-a",
        "pipeline_id": "bench",
        "status": "succeeded",
        "started_at": f"2026-02-01T12:00:{number % 60:02d}.000Z",
        "resumes": 0,
        "machine": MACHINE,
        "wall_seconds": wall,
        "user_seconds": 1.0,
        "system_seconds": 0.0,
        "stages": [{"id": "work", "status": "succeeded", "wall_seconds": wall}],
    }
    return json.dumps(entry | other, separators=(",", ":")).encode() + b"\n"


def work(log: Path, side: str, seconds: float) -> str:
    return f"import time\nopen({str(log)!r}, 'a').write('{side}\\n')\ntime.sleep({seconds})\n"


def pushed(root: Path, *, head: float = 0.15, budget: float = 1, inconclusive: str = "warn") -> Pushed:
    repo, log = init(root / "repo"), root / "log"
    config = CONFIG.format(budget=budget, inconclusive=inconclusive, python=sys.executable)
    base = {"orchgate.toml": config, "work.py": work(log, "base", 0.15), ".gitignore": ".runs/\nout/\n"}
    repo.commit("Start", base)
    init(root / "remote.git", "--bare")
    repo.git("remote", "add", "origin", str(root / "remote.git"))
    repo.git("push", "--quiet", "-u", "origin", "main")
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit("Change", {"work.py": work(log, "head", head)})
    return Pushed(repo, log)


@pytest.fixture
def change(tmp_path: Path) -> Pushed:
    return pushed(tmp_path)


# Held to recorded runs


@pytest.mark.slow
def test_a_run_that_looks_like_the_recorded_ones_passes_with_a_note_that_claims_no_proof(change: Pushed) -> None:
    change.remember(12, 30.0)

    code, out = change.check()

    said = "screened against 12 recorded runs of base's tree on this machine type: nothing suspicious"
    assert (code, "PRF004 (note)" in out, said in out, change.runs) == (0, True, True, ["head"]), out


@pytest.mark.slow
def test_few_recorded_runs_leave_open_what_they_cannot_show(change: Pushed) -> None:
    change.remember(3, 30.0)

    code, out = change.check()

    said = "1.5 times the slowest of them would have been noticed"
    assert (code, "PRF004 (warning)" in out, said in out, change.runs) == (0, True, True, ["head"]), out


@pytest.mark.slow
def test_a_suspicion_that_pairs_confirm_refuses_the_push(tmp_path: Path) -> None:
    change = pushed(tmp_path, head=0.6)
    change.remember(12, 0.1)
    hook = change.repo.root / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nexec "{ORCHGATE}" hook pre-push "$@"\n')
    hook.chmod(0o755)

    told = change.repo.attempt("git", "push", "origin", "topic")

    known = change.repo.git("ls-remote", "origin", "topic")
    assert (told.code, "PRF001" in told.out, known) == (1, True, ""), told.out


@pytest.mark.slow
def test_a_suspicion_that_pairs_do_not_confirm_does_not_refuse(change: Pushed) -> None:
    change.remember(12, 40.0, user_seconds=0.001)

    code, out = change.check()

    assert (code, "12 recorded runs of base's tree" in out, change.runs.count("base") >= 3) == (0, True, True), out


@pytest.mark.slow
def test_a_head_that_fails_where_base_passes_is_refused_although_base_was_not_to_be_run(tmp_path: Path) -> None:
    change = pushed(tmp_path)
    change.remember(12, 1.0)
    change.repo.commit("Break", {"work.py": "raise SystemExit(3)\n"})

    code, out = change.check()

    assert (code, "PRF005" in out) == (1, True), out


@pytest.mark.slow
def test_a_base_that_takes_longer_than_a_push_may_is_not_run_whatever_is_on_record(change: Pushed) -> None:
    change.remember(12, 300.0)

    code, out = change.check()

    assert (code, "a run takes 5 min, eight pairs need 80 min" in out, change.runs) == (0, True, []), out


@pytest.mark.slow
def test_lines_that_cannot_be_read_are_said(change: Pushed) -> None:
    change.remember(12, 30.0)
    with open_appending(change.repo.root / METRICS) as file:
        file.write(line(99, 30.0, tree=change.tree(), wall_seconds="long"))

    assert f"1 line of {METRICS} cannot be read" in change.check()[1]


# Nothing to hold it to


@pytest.mark.slow
def test_a_first_push_says_how_long_a_run_takes_and_the_next_one_runs_nothing(change: Pushed) -> None:
    _, first = change.check()
    ran = len(change.runs)

    code, second = change.check()

    base, head = (change.repo.git("rev-parse", name)[:12] for name in ("main", "topic"))
    hint = f"  to decide: orchgate perf --base {base} --head {head} --max-time 20m bench\n"
    told = ("eight pairs need" in first, *(part in second for part in ("not measured", "--print-job github", hint)))
    assert (code, told, len(change.runs)) == (0, (True,) * 4, ran), first + second


@pytest.mark.slow
def test_a_screening_is_no_proof_where_the_policy_wants_one(tmp_path: Path) -> None:
    change = pushed(tmp_path, inconclusive="block")
    change.remember(12, 30.0)

    code, out = change.check()

    assert (code, "nothing suspicious (this is no proof)" in out, change.runs) == (3, True, ["head"]), out


@pytest.mark.slow
def test_what_is_left_open_ends_in_3_where_the_policy_says_so(tmp_path: Path) -> None:
    change = pushed(tmp_path, inconclusive="block")
    change.remember(12, 300.0)

    code, out = change.check()

    assert (code, "PRF004" in out, change.runs) == (3, True, []), out


@pytest.mark.parametrize(("base", "had", "suspicious"), [(2.0, 8.0, True), (2.0, 4.0, True), (5.0, 8.0, False)])
def test_a_first_run_of_head_is_suspicious_once_it_takes_far_longer_than_base(
    base: float, had: float, *, suspicious: bool
) -> None:
    assert screening.overdue(base, had) is suspicious


# The stored baseline


def keep_baseline(change: Pushed, **samples: float) -> None:
    """A stored baseline on the default branch, from which the topic starts."""
    stored = record(
        "bench",
        MACHINE,
        pipeline_hash=gathered(change).definition,
        recorded_at=ids.moment(datetime.datetime.now(datetime.UTC).timestamp()),
        samples={name: (value,) * 10 for name, value in samples.items()},
    )
    change.repo.git("checkout", "--quiet", "main")
    content = baseline.render(Baseline({stored.place: stored})).decode()
    change.repo.commit("Keep a baseline", {".orchgate/baseline.json": content})
    change.repo.git("checkout", "--quiet", "topic")
    change.repo.git("rebase", "--quiet", "main")


@pytest.mark.slow
def test_the_stored_baseline_tells_how_long_a_run_takes(change: Pushed) -> None:
    keep_baseline(change, cpu_seconds=1.0, wall_seconds=30.0)

    code, out = change.check()

    assert (code, "screened against the stored baseline of" in out, change.runs) == (0, True, ["head"]), out


@pytest.mark.slow
def test_a_machine_that_reports_no_file_events_is_named_and_blocks_nobody(
    change: Pushed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_baseline(change, wall_seconds=30.0, manifest_writes=0.0)
    monkeypatch.setitem(sys.modules, "inotify_simple", None)
    monkeypatch.chdir(change.repo.root)

    code = main(["check", "performance", "--base", "main"])

    out = capsys.readouterr().out
    why = "manifest writes not held to the stored baseline: file events not counted: this system reports none"
    assert (code, why in out, "PRF004" in out) == (0, True, True), out


# What counts as a run of base


def gathered(change: Pushed, judged: tuple[RunDuration, ...] = (), base: str = "main") -> RecordedRuns:
    repository = open_repository(str(change.repo.root), {})
    try:
        commit, head = (repository.require_commit(name) for name in (base, "topic"))
        tree = repository.tree(commit)
        question = PushRequest(repository, load(tree), commit, head, tree, {}, NOW, lambda _: None)
        return recorded_runs.gather(question, MACHINE, judged)
    finally:
        repository.close()


OTHERS: dict[str, Mapping[str, Any]] = {
    "another machine type": {"machine": "0" * 16},
    "an unknown machine": {"machine": None},
    "another pipeline": {"pipeline_id": "other"},
    "a tree with changes": {"dirty": True},
    "failed": {"status": "failed"},
    "taken up again": {"resumes": 1},
    "answered from the cache": {"stages": [{"id": "work", "status": "succeeded", "cached": True}]},
    "passed when repeated": {"flaky": ["work"]},
    "another tree": {"tree": "c" * 40},
    "impossible": {"wall_seconds": -1.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_what_is_no_whole_run_of_base_here_does_not_count(change: Pushed, other: Mapping[str, Any]) -> None:
    change.remember(12, 30.0, **other)

    found = gathered(change)

    assert (found.runs, found.seconds) == ((), None)


@pytest.mark.slow
def test_runs_of_head_do_not_count(change: Pushed) -> None:
    change.remember(12, 30.0, tree=change.tree("topic"))

    assert gathered(change).runs == ()


@pytest.mark.slow
def test_runs_of_head_do_not_count_where_an_ancestor_held_the_same_files(change: Pushed) -> None:
    repo = change.repo
    change.remember(12, 30.0)
    repo.git("checkout", "--quiet", "main")
    repo.commit("Detour", {"a.txt": "a\n"})
    repo.git("checkout", "--quiet", "-B", "topic")
    repo.git("rm", "--quiet", "a.txt")
    repo.commit("Back")

    assert gathered(change).runs == ()


@pytest.mark.slow
def test_runs_of_ancestors_count_the_nearest_first(change: Pushed) -> None:
    change.remember(2, 30.0)
    change.repo.git("checkout", "--quiet", "main")
    change.repo.commit("Explain", {"README.md": "# Bench\n"})
    lines = b"".join(line(90 + number, 20.0, tree=change.tree()) for number in range(3))
    with open_appending(change.repo.root / METRICS) as file:
        file.write(lines)

    found = gathered(change)

    walls = [run.metrics["wall_seconds"] for run in found.runs]
    assert (walls, found.nearest, found.is_base, found.seconds) == ([20.0] * 3 + [30.0] * 2, 3, True, 20.0)


@pytest.mark.slow
def test_runs_of_an_ancestor_that_defines_the_pipeline_otherwise_do_not_count(change: Pushed) -> None:
    change.remember(12, 30.0)
    change.repo.git("checkout", "--quiet", "main")
    config = (change.repo.root / "orchgate.toml").read_text()
    change.repo.commit("Warn", {"orchgate.toml": config.replace('"-I", ', '"-I", "-W", "error", ')})

    assert gathered(change).runs == ()


@pytest.mark.slow
def test_runs_of_an_ancestor_count_where_only_other_settings_changed(change: Pushed) -> None:
    change.remember(12, 30.0)
    change.repo.git("checkout", "--quiet", "main")
    config = (change.repo.root / "orchgate.toml").read_text()
    change.repo.commit("Take longer", {"orchgate.toml": config.replace("budget-seconds = 1", "budget-seconds = 2")})

    assert (len(gathered(change).runs), gathered(change).is_base) == (12, False)


@pytest.mark.slow
def test_metrics_that_the_change_brings_do_not_count(change: Pushed) -> None:
    change.remember(12, 30.0)
    change.repo.git("add", "--force", METRICS)
    change.repo.commit("Bring them")

    found = gathered(change)

    assert (found.runs, found.problems) == ((), (f"{METRICS} is part of the change",))


@pytest.mark.slow
def test_a_link_to_what_the_change_brings_does_not_count(change: Pushed) -> None:
    change.remember(12, 30.0, path="fixtures/metrics.json")
    (change.repo.root / ".runs").mkdir()
    (change.repo.root / ".runs" / "0001-a").symlink_to("../fixtures")
    change.repo.commit(
        "Bring them", {"fixtures/metrics.json": (change.repo.root / "fixtures/metrics.json").read_bytes()}
    )

    assert gathered(change).runs == ()


@pytest.mark.slow
def test_a_run_that_was_recorded_twice_counts_once(change: Pushed) -> None:
    change.remember(3, 30.0)
    change.remember(3, 30.0)

    assert len(gathered(change).runs) == 3


@pytest.mark.slow
def test_a_pipe_in_place_of_metrics_keeps_nobody_waiting(change: Pushed) -> None:
    (change.repo.root / METRICS).parent.mkdir(parents=True)
    os.mkfifo(change.repo.root / METRICS)

    found = gathered(change)

    assert (found.runs, len(found.problems)) == ((), 1)


@pytest.mark.slow
def test_of_a_huge_history_the_end_is_read(change: Pushed) -> None:
    change.remember(12, 30.0)
    with open_appending(change.repo.root / METRICS) as file:
        other = line(50, 10.0, tree="d" * 40)
        file.write(other * (TAIL_BYTES // len(other)))
    change.remember(2, 20.0, run_id="2026-02-02T12-00-00-000Z-aaaaaaaa")

    assert [run.metrics["wall_seconds"] for run in gathered(change).runs] == [20.0]


# How long a run takes


def judged(
    change: Pushed, revision: str, seconds: float, *, at: datetime.datetime = NOW, at_least: bool = False
) -> RunDuration:
    return RunDuration(change.tree(revision), seconds, at_least, at.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.slow
def test_a_former_push_tells_how_long_a_run_takes(change: Pushed) -> None:
    assert gathered(change, (judged(change, "main", 26.1),)).seconds == 26.1


@pytest.mark.slow
def test_how_long_head_took_says_nothing_of_base(change: Pushed) -> None:
    assert gathered(change, (judged(change, "topic", 26.1),)).seconds is None


@pytest.mark.slow
def test_one_busy_moment_does_not_keep_a_pipeline_from_being_measured(change: Pushed) -> None:
    before = judged(change, "main", 1.0)
    change.repo.git("checkout", "--quiet", "main")
    change.repo.commit("Explain", {"README.md": "# Bench\n"})

    assert gathered(change, (before, judged(change, "main", 26.1))).seconds == 1.0


@pytest.mark.slow
def test_a_run_that_was_ended_took_longer_than_any_that_was_not(change: Pushed) -> None:
    found = gathered(change, (judged(change, "main", 1.9, at_least=True), judged(change, "main", 26.1)))

    assert (found.seconds, found.at_least) == (26.1, False)


@pytest.mark.slow
@pytest.mark.parametrize(("days", "at_least", "known"), [(6, False, True), (8, False, False), (2, True, False)])
def test_how_long_it_took_is_forgotten_in_time(change: Pushed, days: int, *, at_least: bool, known: bool) -> None:
    then = judged(change, "main", 26.1, at=NOW - datetime.timedelta(days=days), at_least=at_least)

    assert (gathered(change, (then,)).seconds is not None) is known
