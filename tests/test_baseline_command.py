"""`orchgate baseline` on real repositories, with real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.lib import files
from orchgate.runs import stages
from orchgate.runs.machine import fingerprint
from orchgate.runs.pipeline import Pipeline, Stage
from orchgate.verdict import baseline
from orchgate.verdict.baseline import PATH, Baseline, BaselineRecord, render
from tests.baselines import THERE, record
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import TASK, Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.repo import Repo

pytestmark = pytest.mark.slow

HERE = str(fingerprint()["fingerprint"])
FEW = ("--runs", "10")
AGAIN = ("--force", "--reason", "worth it")


@pytest.fixture
def project(repo: Repo) -> Project:
    """A repository whose configuration names a pipeline of two quick stages."""
    repo.write("orchgate.toml", '[performance]\npipeline = "demo"\n')
    made = Project(repo)
    write = "mkdir -p out && echo x > out/a && echo y > out/b"
    made.define("demo", {"id": "write", "shell": write}, {"id": "check", "run": ["test", "-e", "out/b"]})
    return made


def known(project: Project) -> Baseline:
    return baseline.load(str(project.root))


def store(project: Project, *records: BaselineRecord) -> None:
    for one in records:
        baseline.update(str(project.root), lambda found, one=one: found.put(one))  # type: ignore[misc]


def report(project: Project, *args: str, code: int = 0) -> dict[str, Any]:
    """The JSON a verb prints, checked against its schema."""
    completed = subprocess.run(
        [ORCHGATE, "baseline", args[0], "--output-format", "json", *args[1:]],
        cwd=project.root,
        capture_output=True,
        check=False,
    )
    assert completed.returncode == code, completed.stderr.decode()
    document: dict[str, Any] = json.loads(completed.stdout)
    jsonschema.validate(document, closed("baseline-report"))
    return document


def test_record_then_show_then_supersede_then_drop(project: Project) -> None:
    repo = project.repo

    assert repo.orchgate("baseline", "record", *FEW).code == 0
    assert "recorded 10 runs" not in repo.orchgate("baseline", "show").out
    assert "reason: first baseline" in repo.orchgate("baseline", "show", "demo").out
    assert repo.orchgate("baseline", "record", *FEW).code == 2
    assert repo.orchgate("baseline", "record", *FEW, *AGAIN).code == 0
    assert "first baseline" in repo.orchgate("baseline", "show").out.partition("superseded: ")[2]
    assert repo.orchgate("baseline", "drop").code == 0
    assert "dropped; 2 superseded" in repo.orchgate("baseline", "show").out


# record


@pytest.fixture
def recorded(project: Project) -> BaselineRecord:
    """What was recorded of the default pipeline."""
    assert project.repo.orchgate("baseline", "record", *FEW, "--reason", "the  first\none").code == 0
    found = known(project).of("demo", HERE)
    assert found is not None
    return found


def test_a_record_says_what_was_measured(project: Project, recorded: BaselineRecord) -> None:
    assert (recorded.commit, recorded.tree, recorded.dirty) == (
        project.repo.git("rev-parse", "HEAD"),
        project.repo.git("rev-parse", "HEAD^{tree}"),
        False,
    )


def test_a_record_says_who_and_why(recorded: BaselineRecord) -> None:
    assert (recorded.recorded_by, recorded.reason) == ("Ada <ada@example.org>", "the first one")


def test_a_record_holds_a_sample_of_each_metric_for_each_run(recorded: BaselineRecord) -> None:
    assert {"cpu_seconds", "wall_seconds"} <= recorded.samples.keys()
    assert {len(samples) for samples in recorded.samples.values()} == {10}


def test_a_record_counts_the_files_that_were_written(recorded: BaselineRecord) -> None:
    assert set(recorded.samples["files_written"]) == {2}


def test_a_record_carries_the_hash_that_plan_shows(project: Project, recorded: BaselineRecord) -> None:
    plan = json.loads(project.repo.orchgate("plan", "demo", "--output-format", "json").out)

    assert recorded.pipeline_hash == plan["digest"]


def test_the_file_that_is_recorded_keeps_its_schema(project: Project, recorded: BaselineRecord) -> None:
    schema = json.loads(files.read_data("schemas", "baseline.json"))

    jsonschema.validate(json.loads((project.root / PATH).read_text()), schema)


def test_recording_leaves_the_work_tree_alone(project: Project, recorded: BaselineRecord) -> None:
    assert project.repo.git("status", "--porcelain") == "?? .orchgate/"


def test_a_command_is_recorded_under_its_own_words(project: Project) -> None:
    report(project, "record", *FEW, "--", "sh", "-c", "exit 0 --runs")

    assert list(known(project).records) == [("-- sh -c 'exit 0 --runs'", HERE)]


def test_a_command_runs_in_the_folder_in_which_it_was_typed(project: Project) -> None:
    project.repo.commit("a folder", {"inner/here": "x"})
    result = project.repo.orchgate("baseline", "record", *FEW, "--", "test", "-e", "here", cwd=project.root / "inner")

    assert (result.code, list(known(project).records)) == (0, [("-- test -e here # in inner", HERE)])


def test_the_json_of_record_holds_the_record(project: Project) -> None:
    (row,) = report(project, "record", *FEW)["records"]

    assert (row["pipeline"], row["runs"], row["this_machine"], row["stale"]) == ("demo", 10, True, None)


def test_an_existing_record_is_not_overwritten(project: Project) -> None:
    store(project, record(fingerprint=HERE))
    result = project.repo.orchgate("baseline", "record", *FEW)

    assert (result.code, known(project).of("demo", HERE)) == (2, record(fingerprint=HERE))
    assert "recorded 2026-03-01T12:00:00.000Z by Ada <ada@example.org>: first baseline" in result.out


def test_replacing_asks_for_a_reason(project: Project) -> None:
    store(project, record(fingerprint=HERE))

    assert "--force takes a reason" in project.repo.orchgate("baseline", "record", *FEW, "--force").out


def test_the_record_of_another_machine_class_is_left_alone(project: Project) -> None:
    store(project, record(fingerprint=THERE))
    report(project, "record", *FEW)

    assert known(project).of("demo", THERE) == record(fingerprint=THERE)


def test_what_is_superseded_goes_to_the_history(project: Project) -> None:
    store(project, record(fingerprint=HERE))
    report(project, "record", *FEW, *AGAIN)

    assert known(project).history["demo", HERE] == (record(fingerprint=HERE),)


def test_a_dirty_tree_is_refused(project: Project) -> None:
    project.repo.write("orchgate.toml", (project.root / "orchgate.toml").read_text() + "# changed\n")
    result = project.repo.orchgate("baseline", "record", *FEW)

    assert (result.code, known(project)) == (3, Baseline())
    assert "--allow-dirty" in result.out


def test_a_dirty_tree_that_is_allowed_is_said_in_the_record(project: Project) -> None:
    project.repo.write("orchgate.toml", (project.root / "orchgate.toml").read_text() + "# changed\n")
    (row,) = report(project, "record", *FEW, "--allow-dirty")["records"]

    assert row["dirty"] is True


def test_head_is_measured_not_the_work_tree(project: Project) -> None:
    text = (project.root / "orchgate.toml").read_text()
    project.repo.write("orchgate.toml", text.replace("echo y", "exit 1; echo y"))

    assert report(project, "record", *FEW, "--allow-dirty")["failure"] is None


def test_a_run_that_fails_is_not_recorded(project: Project) -> None:
    project.define("broken", {"id": "fine", "run": ["true"]}, {"id": "bad", "shell": "echo no luck; exit 7"})
    result = project.repo.orchgate("baseline", "record", "broken", *FEW)

    assert (result.code, known(project)) == (1, Baseline())
    assert "broken: run 1 failed in stage bad: exit 7\n  last line: no luck\nnothing was recorded" in result.out


@pytest.mark.parametrize(("every", "code"), [(8, 0), (3, 3)])
def test_what_passes_only_when_repeated_is_no_sample(project: Project, every: int, code: int) -> None:
    fail = f"n=$(cat ../f 2>/dev/null || echo 0); echo $((n+1)) > ../f; test $((n % {every})) != 1"
    project.define("flaky", {"id": "a", "shell": fail, "retries": 1})

    done = project.repo.orchgate("baseline", "record", "flaky", "--runs", "12")

    assert done.code == code
    assert ("runs left out: a stage passed only when repeated" in done.out) == (code == 0)
    assert ("passed only when stage a was repeated" in done.out) == (code == 3)


def test_a_run_that_fails_is_named_in_json(project: Project) -> None:
    failure = report(project, "record", *FEW, "--", "false", code=1)["failure"]

    assert (failure["stage"], failure["detail"]) == ("command", "exit 1")


def test_a_counter_that_differs_between_runs_is_said(project: Project) -> None:
    count = "mkdir -p out; n=$(cat ../n 2>/dev/null || echo 0); echo $((n+1)) > ../n"
    one_more = f"{count}; for i in $(seq $n); do echo > out/$i; done"
    project.define("growing", {"id": "grow", "shell": one_more})

    assert any("files_written differs between runs of one tree" in note for note in notes(project, "growing"))


def notes(project: Project, pipeline: str) -> Sequence[str]:
    found: Sequence[str] = report(project, "record", pipeline, *FEW)["notes"]
    return found


def test_a_metric_that_only_some_runs_report_is_left_out_and_said(project: Project) -> None:
    sometimes = "n=$(cat ../m 2>/dev/null || echo 0); echo $((n+1)) > ../m; "
    sometimes += """if [ $((n % 2)) = 0 ]; then echo '{"size": 3}' > m.json; else echo '{}' > m.json; fi"""
    project.define("sometimes", {"id": "a", "shell": sometimes, "metrics": "m.json"})

    assert "size was measured in 5 of 10 runs only: left out" in notes(project, "sometimes")


def test_too_few_runs_are_refused(project: Project) -> None:
    assert (
        "--runs: expected a whole number from 10 to 1000"
        in project.repo.orchgate("baseline", "record", "--runs", "9").out
    )


def test_an_unknown_pipeline_is_named_with_the_nearest(project: Project) -> None:
    result = project.repo.orchgate("baseline", "record", "dmo", *FEW)

    assert (result.code, "did you mean demo?" in result.out) == (2, True)


def test_a_pipeline_or_a_command_not_both(project: Project) -> None:
    assert project.repo.orchgate("baseline", "record", "demo", "--", "true").code == 2


def test_without_any_pipeline_the_configuration_is_named(repo: Repo) -> None:
    repo.commit()

    assert "performance.pipeline is not set" in repo.orchgate("baseline", "record").out


def test_without_a_commit_there_is_nothing_to_measure(repo: Repo) -> None:
    result = repo.orchgate("baseline", "record", "--", "true")

    assert (result.code, "no commit to measure yet" in result.out) == (3, True)


def test_a_broken_file_stops_before_anything_runs(project: Project) -> None:
    project.repo.write(PATH, '{"version": 1, "demo.x": 1}')
    result = project.repo.orchgate("baseline", "record", *FEW)

    assert (result.code, "baseline.json: demo.x: is unknown" in result.out) == (3, True)


def test_an_interrupted_recording_leaves_nothing_behind(project: Project) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, ORCHGATE],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    child.communicate()

    assert (child.returncode, (project.root / PATH).exists()) == (130, False)


INTERRUPTED = """
import os, signal, subprocess, sys
read, write = os.pipe()
os.set_inheritable(write, True)
argv = [sys.argv[1], "baseline", "record", "--", "sh", "-c", f"echo x > /proc/{os.getpid()}/fd/{write}; sleep 60"]
child = subprocess.Popen(argv, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
os.read(read, 1)
child.send_signal(signal.SIGINT)
sys.exit(child.wait())
"""


# promote


def measured(project: Project, *options: str, times: int = 10) -> list[str]:
    """Runs that were recorded, by id."""
    result = project.run("demo", "--measure", "--runs", str(times), *options)
    assert result.code == 0, result.out
    return [folder.name for folder in project.folders()]


@pytest.mark.slow
def test_recorded_runs_become_the_baseline(project: Project) -> None:
    runs = measured(project)
    (row,) = report(project, "promote", *runs)["records"]

    assert (row["run_ids"], row["commit"], row["runs"]) == (runs, project.repo.git("rev-parse", "HEAD"), 10)


@pytest.mark.slow
def test_the_newest_runs_of_a_task_become_the_baseline(project: Project) -> None:
    runs = measured(project, times=11)
    (row,) = report(project, "promote", "--task", TASK)["records"]

    assert row["run_ids"] == runs


@pytest.mark.slow
def test_recorded_runs_and_a_recording_have_the_same_hash(project: Project) -> None:
    measured(project)
    (promoted,) = report(project, "promote", "--task", TASK)["records"]
    (taken,) = report(project, "record", *FEW, *AGAIN)["records"]

    assert promoted["pipeline_hash"] == taken["pipeline_hash"]


@pytest.mark.slow
def test_runs_of_two_trees_are_no_one_baseline(project: Project) -> None:
    one = measured(project, times=5)
    project.repo.commit("other", {"a": "b"})
    result = project.repo.orchgate("baseline", "promote", *one, *measured(project, times=5))

    assert (result.code, "differ in tree" in result.out) == (2, True)


def test_too_few_runs_are_no_baseline(project: Project) -> None:
    result = project.repo.orchgate("baseline", "promote", *measured(project, times=1))

    assert (result.code, "1 runs are not enough" in result.out) == (2, True)


def test_a_failed_run_cannot_be_promoted(project: Project) -> None:
    project.define("bad", {"id": "x", "run": ["false"]})
    project.run("bad")
    result = project.repo.orchgate("baseline", "promote", "latest")

    assert (result.code, "failed: only runs that succeeded" in result.out) == (2, True)


def candidate(project: Project, *records: BaselineRecord) -> str:
    found = Baseline()
    for one in records:
        found = found.put(one)
    (project.root / "candidate.json").write_bytes(render(found))
    return "candidate.json"


def test_a_candidate_of_another_machine_becomes_the_baseline(project: Project) -> None:
    report(project, "promote", "--from", candidate(project, record(fingerprint=THERE)))

    assert known(project) == Baseline({("demo", THERE): record(fingerprint=THERE)})


def test_whoever_promotes_says_why(project: Project) -> None:
    report(project, "promote", "--reason", "CI is slower", "--from", candidate(project, record(fingerprint=THERE)))

    assert known(project).records["demo", THERE].reason == "CI is slower"


def test_a_candidate_does_not_overwrite_unasked(project: Project) -> None:
    store(project, record())
    name = candidate(project, record(reason="other"))

    assert project.repo.orchgate("baseline", "promote", "--from", name).code == 2
    assert known(project).of(*record().place) == record()


def test_of_several_candidates_all_or_none_are_promoted(project: Project) -> None:
    store(project, record())
    name = candidate(project, record("another"), record(reason="other"))
    project.repo.orchgate("baseline", "promote", "--from", name)

    assert list(known(project).records) == [record().place]


def test_a_recording_can_be_kept_as_a_candidate(project: Project) -> None:
    report(project, "record", *FEW, "-o", "candidate.json")
    assert known(project) == Baseline()
    report(project, "promote", "--from", "candidate.json")

    assert list(known(project).records) == [("demo", HERE)]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not JSON"), ('{"version": 1}', "holds no record"), (None, "there is no file")]
)
def test_what_is_no_candidate_is_refused(project: Project, content: str | None, message: str) -> None:
    if content is not None:
        project.repo.write("candidate.json", content)

    assert message in project.repo.orchgate("baseline", "promote", "--from", "candidate.json").out


def test_two_promotions_at_once_lose_nothing(project: Project) -> None:
    names = [f"pipeline-{number}" for number in range(4)]
    for name in names:
        (project.root / f"{name}.json").write_bytes(render(Baseline().put(record(name))))
    children = [
        subprocess.Popen([ORCHGATE, "baseline", "promote", "--from", f"{name}.json"], cwd=project.root)
        for name in names
    ]

    assert [child.wait() for child in children] == [0] * 4
    assert sorted(pipeline for pipeline, _ in known(project).records) == names


# show


def test_nothing_recorded_is_said_with_the_command_that_records(project: Project) -> None:
    assert "orchgate baseline record" in project.repo.orchgate("baseline", "show").out


def test_show_of_a_pipeline_nobody_knows_is_refused(project: Project) -> None:
    assert project.repo.orchgate("baseline", "show", "nothing").code == 2


def test_a_record_of_a_changed_pipeline_is_shown_as_stale(project: Project) -> None:
    store(project, record(fingerprint=HERE))

    assert "stale: it is of a pipeline whose definition has changed" in project.repo.orchgate("baseline", "show").out


def test_a_record_of_a_pipeline_that_is_gone_is_shown_as_stale(project: Project) -> None:
    store(project, record("gone", fingerprint=HERE))

    assert "stale: it is of a pipeline that is not defined any more" in project.repo.orchgate("baseline", "show").out


def test_an_old_record_is_shown_as_stale(project: Project) -> None:
    store(project, record("-- true", fingerprint=HERE))

    assert "days old, more than 90 days" in project.repo.orchgate("baseline", "show").out


def test_how_old_is_too_old_is_configured(project: Project) -> None:
    store(project, record("-- true", fingerprint=HERE))
    text = (project.root / "orchgate.toml").read_text()
    project.repo.write("orchgate.toml", text.replace("[performance]", "[performance]\nbaseline-days = 100000"))

    assert "stale" not in project.repo.orchgate("baseline", "show").out


def test_commits_since_the_record_are_counted(project: Project) -> None:
    store(project, record(fingerprint=HERE, commit=project.repo.git("rev-parse", "HEAD")))
    project.repo.commit("more")
    (row,) = report(project, "show")["records"]

    assert row["commits_behind"] == 1


def test_a_commit_that_is_not_here_is_not_counted(project: Project) -> None:
    store(project, record(fingerprint=HERE))
    (row,) = report(project, "show")["records"]

    assert row["commits_behind"] is None


def test_only_the_wanted_pipeline_is_shown(project: Project) -> None:
    store(project, record(), record("other"))

    assert [row["pipeline"] for row in report(project, "show", "demo")["records"]] == ["demo"]


def test_a_name_cannot_move_the_cursor(project: Project) -> None:
    project.repo.write(PATH, '{"version": 1, "\\u001b[2Jx": 1}')

    assert "\x1b" not in project.repo.orchgate("baseline", "show").out


# drop


def test_drop_of_what_is_not_there_names_what_is(project: Project) -> None:
    store(project, record(fingerprint=THERE))
    result = project.repo.orchgate("baseline", "drop", "demo")

    assert (result.code, f"--machine {THERE}" in result.out) == (2, True)


def test_the_record_of_another_machine_is_dropped_by_name(project: Project) -> None:
    store(project, record(fingerprint=THERE), record())
    report(project, "drop", "demo", "--machine", THERE)

    assert list(known(project).records) == [record().place]


def test_a_purged_record_leaves_no_history(project: Project) -> None:
    store(project, record())
    report(project, "drop", "demo", "--machine", record().fingerprint, "--purge")

    assert known(project) == Baseline()


# The hash of a definition


def pipeline(name: str, *calls: str, command: str = "true") -> Pipeline:
    return Pipeline(name, name, (Stage("a", "a", (command,)), *(Stage(one, one, pipeline=one) for one in calls)))


def test_a_pipeline_that_calls_none_has_the_hash_of_its_journal() -> None:
    assert stages.pipeline_hash({}, pipeline("one")) == pipeline("one").digest


def test_a_change_in_a_called_pipeline_changes_the_hash() -> None:
    before, after = (
        stages.pipeline_hash({"in": pipeline("in", command=command)}, pipeline("out", "in"))
        for command in ("true", "false")
    )

    assert before != after


def test_pipelines_that_call_each_other_have_a_hash_too() -> None:
    circle = {"a": pipeline("a", "b"), "b": pipeline("b", "a")}

    assert len(stages.pipeline_hash(circle, circle["a"])) == 64


def test_a_record_of_a_busy_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.commands.baseline import record as command

    monkeypatch.setattr(command, "cores", lambda: 2)
    notes = []
    for load in (2.9, 13.4):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        notes.append(command._busy())

    assert notes == [[], ["the load was 13.4 on 2 cores: wall times are longer than on an idle machine"]]
