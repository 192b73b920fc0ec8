"""`orchgate hotspots`: what is worth most comes first, and what cannot be read is named."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.hotspots import chosen, ranking
from orchgate.hotspots.ranking import HotspotKind, counting, rank, summarize
from orchgate.hotspots.timeline import Phase, StageCost, StageTime, Timeline, series
from orchgate.lib.text import short_seconds
from orchgate.observe import observe
from tests.foreign_runs import FOREIGN, RUN, foreign, line, moment
from tests.published import closed
from tests.runs import TASK, Project, stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo


def asked(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    """The JSON that the command prints, which has to fit its schema."""
    assert main(["hotspots", *args, "--output-format", "json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, closed("hotspots"))
    return document


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["hotspots", *args]) == 0
    return capsys.readouterr().out


# A run of our own, from its start to what is to be done about it


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


@pytest.mark.slow
def test_the_stage_that_had_to_be_repeated_is_the_first_thing_to_work_on(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.define(
        "demo",
        {"id": "build", "run": ["true"]},
        {
            "id": "test",
            "shell": "test -e tried || { touch tried; sleep 0.5; exit 1; }",
            "needs": ["build"],
            "retries": 1,
        },
    )
    project.run()

    first = asked(capsys)["hotspots"][0]

    assert (first["kind"], first["stage"], first["times"]) == ("retry", "test", 1)


@pytest.mark.slow
def test_a_stage_that_waits_could_save_what_it_waits(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.define("demo", {"id": "nap", "run": ["sleep", "0.5"]})
    project.run()

    (nap,) = [one for one in asked(capsys)["hotspots"] if one["kind"] == "stage"]

    assert 0.4 < nap["savable_seconds"] <= nap["seconds"]


@pytest.mark.slow
def test_the_parts_of_a_real_run_add_up_to_its_wall_time(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.define(
        "demo",
        {"id": "a", "run": ["sleep", "0.1"]},
        {"id": "b", "shell": "exit 1", "retries": 2, "allow-failure": True},
        {"id": "c", "run": ["true"], "needs": ["a"]},
    )
    project.run()

    (told,) = asked(capsys)["runs"]

    assert sum(told["parts"].values()) == pytest.approx(told["wall_seconds"], abs=1e-5)


@pytest.mark.slow
def test_without_its_journal_a_run_of_ours_is_told_from_the_manifest(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.define("demo", {"id": "nap", "run": ["sleep", "0.3"]})
    project.run()
    (project.folders()[-1] / "events.jsonl").unlink()

    (told,) = asked(capsys)["runs"]

    assert told["missing"] == ["the journal is not there"]
    assert 0.25 < told["parts"]["executing"] < told["wall_seconds"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data + b'{"event": "st', "lines that were never finished"),
        (lambda data: data[:-30] + b"\n", "is not JSON"),
        (lambda data: b"", "it is empty"),
        (lambda data: data.replace(b'"stage":1', b'"stage":77'), "line 2 (start) names stage 77 of 1"),
    ],
    ids=["torn", "damaged", "empty", "edited"],
)
def test_a_journal_that_is_not_whole_is_said(
    project: Project, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes], said: str
) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    journal = project.folders()[-1] / "events.jsonl"
    journal.write_bytes(damage(journal.read_bytes()))

    (told,) = asked(capsys)["runs"]

    assert said in " ".join(told["missing"])


@pytest.mark.slow
def test_a_run_that_was_taken_up_again_has_a_time_in_which_nobody_ran_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.define("demo", {"id": "one", "shell": "echo up; test -e go || sleep 60"})
    child = project.start()
    project.wait_for_output(b"up")
    stop(child)
    (project.root / "go").touch()
    assert project.repo.orchgate("resume", "latest", "--task", TASK).code == 0

    (told,) = asked(capsys)["runs"]

    assert told["parts"]["away"] > 0
    assert sum(told["parts"].values()) == pytest.approx(told["wall_seconds"], abs=1e-5)


@pytest.mark.slow
def test_a_pipeline_that_another_one_called_is_part_of_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.define("inner", {"id": "deep", "run": ["sleep", "0.2"]})
    project.define("outer", {"id": "call", "pipeline": "inner"})
    project.run("outer")

    document = asked(capsys)

    assert [run["pipeline_id"] for run in document["runs"]] == ["outer"]
    assert any("a pipeline of its own, run 2" in one["detail"] for one in document["hotspots"])


# Ranking


def timeline(number: int = 0, pipeline: str = "demo", **stages: StageTime) -> Timeline:
    wall = sum(sum(stage.spent.values()) for stage in stages.values())
    return Timeline(
        "/nowhere/manifest.json", TASK, f"run-{number}", pipeline, "succeeded", number, wall, tuple(stages.values())
    )


def stage(name: str, cpu: float | None = None, **seconds: float) -> StageTime:
    spent = {Phase(part): round(value * 1e6) for part, value in seconds.items()}
    wall = sum(seconds.values())
    return StageTime(name, "succeeded", spent, StageCost(cpu, wall) if cpu is not None else StageCost(), 1)


def test_waiting_comes_before_a_stage_that_takes_longer() -> None:
    runs = [timeline(a=stage("a", waiting=2, executing=50))]

    assert [one.kind for one in rank(runs)] == [HotspotKind.WAITING, HotspotKind.STAGE]


def test_the_gaps_are_listed_longest_first() -> None:
    (waiting, *_) = rank([timeline(a=stage("a", waiting=1), b=stage("b", waiting=3))])

    assert waiting.gaps == (("b", 3.0), ("a", 1.0))


def test_what_was_not_measured_cannot_be_saved() -> None:
    assert [one.savable for one in rank([timeline(a=stage("a", executing=50))])] == [0.0]


def test_a_stage_off_the_processor_could_save_that_time() -> None:
    first, *_ = rank([timeline(a=stage("a", executing=10, cpu=2.0))])

    assert (first.kind, first.savable) == (HotspotKind.STAGE, 8.0)


def test_a_busy_stage_has_nothing_to_save() -> None:
    assert [one.savable for one in rank([timeline(a=stage("a", executing=10, cpu=9.5))])] == [0.0]


def test_no_runs_have_no_hotspot() -> None:
    assert rank([]) == []


def test_shares_are_of_all_runs_together() -> None:
    runs = [timeline(a=stage("a", waiting=5)), timeline(1, "other", b=stage("b", executing=15))]

    assert [one.share for one in rank(runs)] == [0.25, 0.75]


def test_runs_with_stages_from_the_cache_are_left_out_where_others_ran_all() -> None:
    cached = timeline(0, a=stage("a", waiting=0.01)._replace(cached=True))
    whole, failed = timeline(1, a=stage("a", executing=9)), timeline(2)._replace(status="failed")

    assert counting([cached, whole, failed]) == ([whole], {"demo": [cached, failed]})
    assert counting([cached, failed]) == ([cached], {"demo": [failed]})


def test_parts_are_medians_over_the_runs() -> None:
    runs = [timeline(n, a=stage("a", waiting=wait, executing=1)) for n, wait in enumerate([1, 2, 90])]

    assert summarize("demo", runs).parts[Phase.WAITING].median == 2.0


# Growth


def test_a_steady_rise_is_seen() -> None:
    told = series([10 + 0.5 * number for number in range(8)])

    assert told.slope == pytest.approx(0.5)
    assert told.clear


def test_one_odd_run_does_not_turn_the_trend() -> None:
    told = series([10.0, 10.5, 11.0, 400.0, 12.0, 12.5, 13.0, 13.5])

    assert told.slope == pytest.approx(0.5, abs=0.01)
    assert told.clear


@pytest.mark.parametrize("values", [[3.0] * 9, [1.0, 5.0, 2.0, 4.0, 3.0, 2.5, 3.5, 1.5, 4.5]], ids=["flat", "noise"])
def test_no_trend_is_made_up(values: list[float]) -> None:
    assert not series(values).clear


def test_too_few_runs_have_no_slope() -> None:
    assert series([1.0, 2.0, 3.0, 4.0]) == (4, 2.5, None, False)


def test_a_long_history_has_the_same_slope() -> None:
    assert series([0.01 * number for number in range(5000)]).slope == pytest.approx(0.01)


# Which runs are meant


@pytest.fixture
def recorded(repo: Repo) -> Path:
    """A repository with one run of the other orchestrator, and the current folder."""
    return foreign(repo.root)


@pytest.mark.parametrize(
    "word",
    [
        RUN,
        "latest",
        FOREIGN,
        f".runs/{FOREIGN}/cli/{RUN}/manifest.json",
        f".runs/{FOREIGN}/cli/{RUN}/runner.ndjson",
        f".runs/{FOREIGN}/cli/{RUN}/commands",
        f".runs/{FOREIGN}/cli/{RUN}",
        f".runs/{FOREIGN}/cli",
        f".runs/{FOREIGN}",
        ".runs",
        f".runs/{FOREIGN}/mcp/{RUN}/manifest.json",
        f".runs/{FOREIGN}/{RUN}/manifest.json",
    ],
)
def test_a_run_is_found_by(recorded: Path, word: str) -> None:
    for beside in (recorded.parents[1] / "mcp" / RUN, recorded.parents[1] / RUN):
        beside.mkdir(parents=True)
        (beside / "manifest.json").write_text("{}")

    assert chosen.folders(os.getcwd(), [word]) == [str(recorded)]


def test_a_run_is_named_twice_and_read_once(recorded: Path) -> None:
    assert chosen.folders(os.getcwd(), [RUN, FOREIGN, str(recorded)]) == [str(recorded)]


@pytest.mark.slow
def test_a_run_outside_the_repository_is_read(repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = foreign(tmp_path / "elsewhere")

    assert asked(capsys, str(folder / "manifest.json"))["wall_seconds"] == 10.0


def test_a_run_that_was_moved_to_another_name_is_read(repo: Repo, tmp_path: Path) -> None:
    shutil.move(foreign(tmp_path / "elsewhere"), tmp_path / "before")

    assert chosen.folders(os.getcwd(), [str(tmp_path / "before")]) == [str(tmp_path / "before")]


@pytest.mark.slow
def test_without_a_word_the_newest_run_of_each_pipeline_is_meant(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, pipeline in enumerate(["a", "a", "b"]):
        foreign(repo.root, run=f"2026-01-0{number + 1}T00-00-00-000Z-00000000", pipeline_id=pipeline)

    assert [run["run_id"][:10] for run in asked(capsys)["runs"]] == ["2026-01-03", "2026-01-02"]


@pytest.mark.parametrize("word", ["no-such-task", "/", "orchgate.toml"])
def test_a_word_that_means_no_run_is_wrong_usage(repo: Repo, capsys: pytest.CaptureFixture[str], word: str) -> None:
    repo.write("orchgate.toml", "")

    assert main(["hotspots", word]) == 2


def test_no_runs_at_all_cannot_be_judged(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hotspots"]) == 3
    assert "there are no runs here" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_no_answer(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recorded / "manifest.json").write_text('{"version": 1')

    assert main(["hotspots", FOREIGN]) == 3
    assert "no run can be read" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("words", [[FOREIGN], []])
def test_the_runs_that_can_be_read_are_shown_and_the_others_named(
    recorded: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    other = recorded.parent / "2026-01-07T00-00-00-000Z-00000000"
    other.mkdir()
    (other / "manifest.json").write_text("[]")

    document = asked(capsys, *words)

    assert [run["run_id"] for run in document["runs"]] == [RUN]
    assert [problem["path"] for problem in document["problems"]] == [os.path.relpath(other)]


def test_a_top_of_nothing_is_wrong_usage(recorded: Path) -> None:
    assert main(["hotspots", "--limit", "0"]) == 2


# What people see


def test_the_text_reads_like_this(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        shown(capsys)
        == f"""\
diagnostics: succeeded after 10.0 s (run {RUN} of task {FOREIGN})
  build     10.0 s  100.0%  ░░░░░░░░░░░░░░░░░░░░████████████████····
  ░ waiting 50.0%   █ executing 40.0%   · recording 10.0%

what could be saved, at most:
   1.     5.0 s   50.0%  █████       waiting: before the commands of 1 stage: build 5.0 s
   2.     1.0 s   10.0%  █           recording: between the end of a command and the end of its stage or run

what takes its time:
   1.     4.0 s   40.0%  ████        stage build: its command

hint: something holds the stages up before their commands start; look there for a timer, a queue or a lock; \
--output-format json lists every gap; then run it again and compare with `orchgate hotspots {FOREIGN}`
"""
    )


def test_a_terminal_without_blocks_gets_plain_bars(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)

    assert main(["hotspots"]) == 0

    plain.seek(0)
    assert "....################,,,," in plain.read()


def test_several_runs_are_told_as_medians_with_their_trend(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        log = [line("exec:begin", 2 + number / 2), line("exec:end", 9)]
        started = moment(0)
        foreign(repo.root, log, run=f"2026-01-0{number + 1}T00-00-00-000Z-00000000", started_at=started)

    text = shown(capsys, FOREIGN)

    assert "diagnostics: 6 runs, 10.0 s each (median)" in text
    assert "trend over 6 runs: executing shrinks by 0.50 s each time; waiting grows by 0.50 s each time" in text


def test_too_few_runs_for_a_trend_are_said(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        foreign(repo.root, run=f"2026-01-0{number + 1}T00-00-00-000Z-00000000")

    assert "trend: 2 runs are too few, 5 at least" in shown(capsys, FOREIGN)


def test_names_cannot_move_the_cursor(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(repo.root, pipeline_id="\x1b[2J\u202e")

    text = shown(capsys)

    assert "\\x1b[2J\\u202e" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(95.43, "95.4 s"), (0.551, "0.55 s"), (0.0034, "3 ms"), (12345.6, "12,345.6 s")]
)
def test_seconds_are_written_in_few_digits(seconds: float, text: str) -> None:
    assert short_seconds(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(12, "12 bytes"), (3_400_000, "3.4 MB"), (999_999, "1.0 MB")])
def test_bytes_are_written_in_few_digits(number: int, text: str) -> None:
    assert ranking.size(number) == text


# Reads and writes


def observed(folder: Path, files: object, **more: object) -> None:
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "artifacts" / "activity.json").write_text(json.dumps({"version": 1, "files": files, **more}))


def moved(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str | None, int | None]]:
    found = asked(capsys, FOREIGN)["hotspots"]
    return [(one["kind"], one["path"], one["times"]) for one in found if one["kind"] in ("write", "read")]


@pytest.mark.slow
def test_the_files_that_were_written_and_read_again_and_again_come_first(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed(recorded, {"a": {"written": 3, "renamed": 11}, "b": {"written": 1, "read": 40}, "c": {"read": 1}})

    assert moved(capsys) == [
        ("read", None, 41),
        ("read", "b", 40),
        ("write", None, 15),
        ("write", "a", 14),
    ]


def test_how_often_each_file_was_read_is_told(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observed(recorded, {"b": {"read": 40}, "c": {"read": 2}})

    assert "read: 2 files read 42 times, 21.0 times each" in shown(capsys)


def test_counts_that_may_have_missed_events_are_at_least_so_many(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed(recorded, {"b": {"read": 40, "written": 20}}, lower_bound=True, lower_bound_of=["file_writes"])
    said = shown(capsys)

    assert ("written at least 20 times" in said, "read 40 times" in said) == (True, True)


@pytest.mark.slow
def test_the_folder_because_of_which_they_are_is_named(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observed(recorded, {}, lower_bound_where={"out/a": "gone before it could be watched"}, lower_bound_folders=3)

    assert "out/a and 2 more folders: gone before it could be watched" in asked(capsys)["troubles"][0]["message"]


@pytest.mark.slow
def test_the_files_of_several_runs_are_counted_by_what_they_are(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        run = f"2026-01-0{number + 1}T00-00-00-000Z-00000000"
        observed(foreign(repo.root, run=run), {f".runs/x/cli/{run}/manifest.json": {"written": 7}})

    assert ("write", ".runs/x/cli/<run-id>/manifest.json", 14) in moved(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activity", "said"),
    [("[]", "holds a list"), ("{", "is truncated"), ('{"files": 5}', "does not say what happened")],
)
def test_what_was_observed_and_cannot_be_read_is_named(
    recorded: Path, capsys: pytest.CaptureFixture[str], activity: str, said: str
) -> None:
    observed(recorded, {})
    (recorded / "artifacts" / "activity.json").write_text(activity)

    assert said in asked(capsys)["troubles"][0]["message"]


def test_what_could_not_be_observed_is_named(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observed(recorded, {"a": {"written": 2}}, lost=True, notes=["the queue overflowed"])

    document = asked(capsys)

    assert [trouble["message"] for trouble in document["troubles"]] == ["the queue overflowed"]
    assert "written at least 2 times" in [one["detail"] for one in document["hotspots"]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file events are counted on Linux")
def test_an_observed_program_is_told_by_the_files_it_writes_again_and_again(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "out").mkdir()
    script = "for i in 1 2 3 4 5; do echo $i > out/new; mv out/new out/manifest.json; done"
    project.repo.orchgate("observe", "--watch", "out", "--", "sh", "-c", script)

    found = asked(capsys, "observed")["hotspots"]

    assert ("write", "out/manifest.json", 5) in [(one["kind"], one["path"], one["times"]) for one in found]


def test_what_observe_writes_is_what_is_read() -> None:
    assert ranking.ACTIVITY == observe.ACTIVITY


@pytest.mark.slow
def test_odd_counts_do_no_harm(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observed(recorded, {"a": {"written": -5, "read": "x"}, "b": None, "c": {"written": 2}})

    assert ("write", "c", 2) in moved(capsys)


@pytest.mark.slow
def test_stages_are_told_by_the_bytes_they_wrote(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.define("demo", {"id": "dump", "shell": "head -c 4000000 /dev/zero > big; sync big"})
    project.run()

    stage_ = project.stages()["dump"]["usage"]["written_bytes"]  # None where the kernel does not tell
    told = [one["bytes"] for one in asked(capsys)["hotspots"] if (one["kind"], one["stage"]) == ("write", "dump")]

    assert told == ([stage_] if stage_ else [])


@pytest.mark.slow
def test_what_the_runner_writes_itself_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()

    assert "write: the runner itself: 2 manifest writes, 4 journal writes, " in shown(capsys)
