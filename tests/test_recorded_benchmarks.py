"""Named benchmarks of recorded runs: what a run records, whatever the file is, and what they add up to over clones."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.config.settings import Benchmarks
from orchgate.lib import files
from orchgate.result_files.benchmark_results import MAX_BYTES, MOST_RECORDED, BenchmarkWatch, RecordedBenchmarks
from tests.histories import TASK, Clones, clones, line, show, told, write_lines
from tests.repo import ORCHGATE
from tests.runs import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.repo import Repo

RUN, OTHER = "/nowhere/run", "/nowhere/other"


def bmf(values: Mapping[str, object]) -> str:
    """Seconds by name in Bencher's metric format, which has nanoseconds."""
    found = {
        name: {"latency": {"value": value * 1e9 if isinstance(value, float) else value}}
        for name, value in values.items()
    }
    return json.dumps(found)


class Watched:
    """A folder as a work tree, in which stages write benchmarks."""

    def __init__(self, folder: Path, form: str = "bmf") -> None:
        self.file = folder / "bench.json"
        self.watch = BenchmarkWatch(Benchmarks("bench.json", form), str(folder))

    def write(self, content: str | bytes) -> None:
        self.file.unlink(missing_ok=True)
        self.file.write_bytes(content.encode() if isinstance(content, str) else content)

    def stage(self, content: str | bytes | None = None, number: int = 1, run: str = RUN) -> RecordedBenchmarks | None:
        """What one stage, which writes this, is to record."""
        self.watch.begin(run, number)
        if content is not None:
            self.write(content)
        return self.watch.end(run)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


# Whose they are


def test_what_a_stage_names_among_its_results_comes_first() -> None:
    many = {f"b{number}": 1.0 for number in range(MOST_RECORDED)}
    found = RecordedBenchmarks({"a": 1.0, "b0": 2.0}, of_stage=True, problems=())

    assert found.beside({"a": 3.0}) == {"a": 3.0, "b0": 2.0}
    assert found.beside(many) == many


def test_what_is_below_artifacts_comes_before_a_file_that_another_run_may_have_written(tmp_path: Path) -> None:
    watched, run = Watched(tmp_path), tmp_path / "run"
    (run / "artifacts").mkdir(parents=True)
    watched.watch.begin(str(run), 1)
    (run / "artifacts/bench.json").write_text(bmf({"ours": 0.5}))
    watched.write(bmf({"theirs": 0.25}))

    assert watched.watch.end(str(run)) == RecordedBenchmarks({"ours": 0.5}, of_stage=True, problems=())


def test_a_stage_that_wrote_the_file_alone_measured_them(watched: Watched) -> None:
    found = watched.stage(bmf({"a": 0.5, "b": 2e-9}))

    assert found == RecordedBenchmarks({"a": 0.5, "b": 2e-9}, of_stage=True, problems=())


def test_a_stage_that_writes_none_records_none(watched: Watched) -> None:
    watched.write(bmf({"committed": 1.0}))

    assert watched.stage() is None
    assert watched.stage(bmf({"a": 1.0}), 2) is not None
    assert watched.stage(None, 3) is None  # it is that of the second


def test_what_somebody_else_wrote_between_stages_does_not_count(watched: Watched) -> None:
    watched.stage(bmf({"a": 1.0}))
    watched.write(bmf({"by hand": 1.0}))

    assert watched.stage(None, 2) is None


def test_of_stages_at_once_it_is_not_known_which_one_measured_them(watched: Watched) -> None:
    watched.watch.begin(RUN, 1)
    watched.watch.begin(RUN, 2)
    watched.write(bmf({"a": 1.0}))

    assert watched.watch.end(RUN) is None  # the other one may be writing
    assert watched.watch.end(RUN) == RecordedBenchmarks({"a": 1.0}, of_stage=False, problems=())
    alone = watched.stage(bmf({"a": 2.0}), 3)
    assert alone is not None
    assert alone.of_stage


def test_of_stages_of_several_runs_at_once_nothing_is_recorded_and_that_is_said(watched: Watched) -> None:
    watched.watch.begin(RUN, 1)
    watched.watch.begin(OTHER, 1)
    watched.write(bmf({"a": 1.0}))
    watched.watch.end(RUN)

    found = watched.watch.end(OTHER)

    assert found is not None
    assert (found.seconds, found.problems) == (
        {},
        ("bench.json was written while stages of several runs ran: not recorded",),
    )


def test_a_file_among_the_artifacts_of_its_run_counts(tmp_path: Path) -> None:
    watched, run = Watched(tmp_path), tmp_path / "run"
    (run / "artifacts").mkdir(parents=True)
    watched.watch.begin(str(run), 1)
    (run / "artifacts" / "bench.json").write_text(bmf({"a": 1.0}))

    found = watched.watch.end(str(run))

    assert found is not None
    assert found.seconds == {"a": 1.0}


# Files that are not as they should be


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "bench.json is empty"),
        ('{"a": {"latency": {"val', "bench.json is not JSON, or cut off"),
        (b"\xff\xfe", "bench.json is not UTF-8"),
        ("[" * 100_000, "bench.json is nested too deep"),
        ('{"a": 1}', "not in Bencher's metric format"),
        ("{}", "bench.json holds no benchmark"),
        (bmf({f"bench-{number}": 1.0 for number in range(100_000)}), "bench.json holds more than 5000 benchmarks"),
        (b" " * (MAX_BYTES + 1), "limit"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_recorded(watched: Watched, content: str, why: str) -> None:
    found = watched.stage(content)

    assert found is not None
    assert (found.seconds, len(found.problems)) == ({}, 1)
    assert why in found.problems[0]
    assert found.problems[0].endswith(": not recorded")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_named_and_nobody_waits_for_it(watched: Watched, make: Any) -> None:
    watched.watch.begin(RUN, 1)
    make(watched.file)

    found = watched.watch.end(RUN)

    assert found is not None
    assert "not a regular file" in found.problems[0]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("a\x1b[31mred", "1", r"a\x1b[31mred: the name is empty or holds control characters"),
        ("two\nlines", "1", r"two\nlines: the name is empty or holds control characters"),
        ("\u202eleft", "1", r"\u202eleft: the name is empty or holds control characters"),
        (" ", "1", "the name is empty or holds control characters"),
        ("x" * 400, "1", "the name has 400 characters, 300 are recorded"),
        ("x" * 600, "1", "the name has 600 characters, limit 500"),
        ("nan", "NaN", "nan: its time is nan"),
        ("inf", "Infinity", "inf: its time is inf"),
        ("huge", "1e999", "huge: its time is inf"),
        ("minus", "-5", "minus: its time is -5e-09"),
        ("none", "0", "none: its time is 0.0"),
        ("text", '"fast"', "text: its time is a string, not a number"),
    ],
)
def test_a_benchmark_that_has_no_value_is_named_and_the_others_are_recorded(
    watched: Watched, name: str, value: str, why: str
) -> None:
    found = watched.stage(
        f'{{{json.dumps(name)}: {{"latency": {{"value": {value}}}}}, "good": {{"latency": {{"value": 5}}}}}}'
    )

    assert found is not None
    assert list(found.seconds) == ["good"]
    assert why in found.problems[0]
    assert found.problems[0].isprintable()


def test_a_name_that_occurs_twice_is_named_and_recorded_with_neither_value(watched: Watched) -> None:
    found = watched.stage(
        '{"a": {"latency": {"value": 5}}, "a": {"latency": {"value": 9}}, "b": {"latency": {"value": 5}}}'
    )

    assert found is not None
    assert (list(found.seconds), found.problems) == (["b"], ("bench.json: a: the name occurs twice",))


def test_of_many_that_are_wrong_a_few_are_named(watched: Watched) -> None:
    found = watched.stage(bmf({"good": 1.0, **{f"bad-{number}": -1.0 for number in range(50)}}))

    assert found is not None
    assert (list(found.seconds), len(found.problems)) == (["good"], 6)
    assert found.problems[-1] == "bench.json: and 45 more of this kind"


def test_a_run_records_so_many_and_says_what_it_cuts(watched: Watched) -> None:
    first = watched.stage(bmf({f"bench-{number:04d}": 1.0 for number in range(400)}))
    second = watched.stage(bmf({f"other-{number:04d}": 1.0 for number in range(400)}), 2)

    assert first is not None
    assert second is not None
    assert (len(first.seconds), first.problems) == (400, ())
    assert list(second.seconds) == [f"other-{number:04d}" for number in range(MOST_RECORDED - 400)]
    assert second.problems == ("bench.json: of 400 benchmarks the first 100 by name are recorded",)


def test_an_attempt_is_recorded_in_place_of_the_one_before(watched: Watched) -> None:
    for _ in range(3):
        found = watched.stage(bmf({f"bench-{number:04d}": 1.0 for number in range(400)}))

        assert found is not None
        assert (len(found.seconds), found.problems) == (400, ())


def test_of_criterion_s_folder_each_stage_records_what_it_measured(tmp_path: Path) -> None:
    watch = BenchmarkWatch(Benchmarks("criterion", "criterion"), str(tmp_path))
    recorded = []
    for number, name in enumerate(("sum", "sort"), 1):
        watch.begin(RUN, number)
        file = tmp_path / "criterion" / name / "new" / "estimates.json"
        file.parent.mkdir(parents=True)
        file.write_text('{"median": {"point_estimate": 5e8}}')
        recorded.append(watch.end(RUN))

    assert [one and one.seconds for one in recorded] == [{"sum": 0.5}, {"sort": 0.5}]


def test_a_secret_in_the_name_of_a_command_is_not_recorded(tmp_path: Path) -> None:
    token = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
    listed: list[dict[str, Any]] = [{"command": f"curl -H 'token: {token}' x", "min": 0.5, "exit_codes": [0]}]
    listed.append({"command": f"curl -H 'token: {token}' failed", "min": 0.5, "exit_codes": [22]})

    found = Watched(tmp_path, "hyperfine").stage(json.dumps({"results": listed}))

    assert found is not None
    assert (len(found.seconds), len(found.problems)) == (1, 1)
    assert token not in str(found)


# By the real program


WRITES = "printf '%s' \"$RESULTS\" > bench.json"
SETTINGS = '[performance.benchmarks]\nfile = "bench.json"\nformat = "bmf"\n'


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.write("orchgate.toml", SETTINGS)
    repo.write(".gitignore", "/.runs/\n/bench.json\n")
    repo.git("add", "-A")
    return Project(repo)


def entries(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (repo.root / ".runs" / TASK / "metrics.json").read_text().splitlines()]


def test_a_run_records_its_benchmarks_in_its_manifest_and_its_entry(project: Project) -> None:
    project.define("demo", {"id": "build", "shell": "true"}, {"id": "bench", "shell": WRITES, "needs": ["build"]})

    ended = project.run(env={"RESULTS": bmf({"b": 0.25, "a": 0.5})})

    assert ended.code == 0, ended.out
    (entry,) = entries(project.repo)
    expected = [{"name": "a", "value": 0.5, "stage": "bench"}, {"name": "b", "value": 0.25, "stage": "bench"}]
    assert entry["benchmarks"] == expected
    (manifest,) = project.root.glob(f".runs/{TASK}/cli/*/manifest.json")
    stages = json.loads(manifest.read_text())["commands"]
    assert [stage.get("benchmarks") for stage in stages] == [None, {"a": 0.5, "b": 0.25}]
    jsonschema.validate(json.loads(manifest.read_text()), json.loads(files.read_data("schemas", "manifest-v1.json")))


def test_stages_at_once_leave_the_run_the_benchmarks_and_no_stage(project: Project) -> None:
    fifo = "[ -p p ] || mkfifo p; "
    writer = {"id": "bench", "shell": f"{fifo}{WRITES}; echo > p"}
    project.define("demo", writer, {"id": "beside", "shell": f"{fifo}cat p"}, **{"max-parallel": 2})

    ended = project.run(env={"RESULTS": bmf({"a": 0.5})})

    assert ended.code == 0, ended.out
    assert entries(project.repo)[0]["benchmarks"] == [{"name": "a", "value": 0.5}]
    (manifest,) = project.root.glob(f".runs/{TASK}/cli/*/manifest.json")
    whole = json.loads(manifest.read_text())
    assert whole["benchmarks"] == {"a": 0.5}
    jsonschema.validate(whole, json.loads(files.read_data("schemas", "manifest-v1.json")))


def test_a_stage_beside_which_others_may_run_has_none_by_chance(project: Project) -> None:
    other = {"id": "lint", "shell": "true", "inputs": ["orchgate.toml"]}
    project.define("demo", {"id": "bench", "shell": WRITES}, other, **{"max-parallel": 2})
    for _ in range(2):
        assert project.run(env={"RESULTS": bmf({"a": 0.5})}).code == 0

    found = entries(project.repo)

    assert found[1]["stages"][1]["cached"]
    assert [entry["benchmarks"] for entry in found] == [[{"name": "a", "value": 0.5}]] * 2


def test_what_a_pipeline_that_is_called_measures_is_its_run_s(project: Project) -> None:
    project.define("inner", {"id": "bench", "shell": WRITES})
    project.define("demo", {"id": "call", "pipeline": "inner"})

    ended = project.run(env={"RESULTS": bmf({"a": 0.5})})

    assert ended.code == 0, ended.out
    found = {entry["pipeline_id"]: entry.get("benchmarks") for entry in entries(project.repo)}
    assert found == {"inner": [{"name": "a", "value": 0.5, "stage": "bench"}], "demo": None}


def test_a_run_that_is_resumed_keeps_what_was_measured(project: Project) -> None:
    once = "[ -e again ] || { touch again; exit 1; }"
    project.define("demo", {"id": "bench", "shell": WRITES}, {"id": "test", "shell": once, "needs": ["bench"]})
    assert project.run(env={"RESULTS": bmf({"a": 0.5})}).code == 1

    resumed = project.repo.orchgate("resume", "latest")

    assert resumed.code == 0, resumed.out
    first, last = entries(project.repo)
    assert (first["status"], last["status"], last["resumes"]) == ("failed", "succeeded", 1)
    assert first["benchmarks"] == last["benchmarks"] == [{"name": "a", "value": 0.5, "stage": "bench"}]


def test_a_stage_from_the_cache_measures_nothing(project: Project) -> None:
    project.define("demo", {"id": "bench", "shell": WRITES, "inputs": ["orchgate.toml"]})
    for _ in range(2):
        assert project.run(env={"RESULTS": bmf({"a": 0.5})}).code == 0

    first, second = entries(project.repo)

    assert ("benchmarks" in first, second["stages"][0]["cached"], "benchmarks" in second) == (True, True, False)


def test_the_benchmarks_of_an_attempt_that_failed_are_those_of_the_one_that_passed(project: Project) -> None:
    tried = (
        'if [ -e t ]; then printf "%s" "$THEN" > bench.json; else touch t; printf "%s" "$FIRST" > bench.json; false; fi'
    )
    project.define("demo", {"id": "bench", "shell": tried, "retries": 1})

    ended = project.run(env={"FIRST": bmf({"old": 1.0, "a": 1.0}), "THEN": bmf({"a": 0.5})})

    assert ended.code == 0, ended.out
    assert entries(project.repo)[0]["benchmarks"] == [{"name": "a", "value": 0.5, "stage": "bench"}]


def test_a_run_whose_file_is_torn_is_recorded_all_the_same(project: Project) -> None:
    project.define("demo", {"id": "bench", "shell": WRITES})

    ended = project.run(env={"RESULTS": '{"a": {"lat'})

    assert ended.code == 0, ended.out
    (entry,) = entries(project.repo)
    assert (entry["status"], "benchmarks" in entry) == ("succeeded", False)
    assert "bench.json is not JSON, or cut off" in ended.out


def test_a_pipeline_without_benchmarks_is_recorded_as_before(repo: Repo) -> None:
    project = Project(repo)
    project.define("demo", {"id": "bench", "shell": WRITES})

    ended = project.run(env={"RESULTS": bmf({"a": 0.5})})

    assert ended.code == 0, ended.out
    assert "benchmarks" not in entries(project.repo)[0]


# Over clones


def seeded(new_repo: Callable[[str], Repo], folder: Path, shell: str, form: str = "bmf") -> Clones:
    seed = new_repo("seed")
    stage = (
        f"[pipelines.demo]\n[[pipelines.demo.stages]]\nid = \"bench\"\nshell = '''{shell}'''\nmetrics = \"own.json\"\n"
    )
    made = clones(seed, folder)
    made.one.commit(
        "measure",
        {
            "orchgate.toml": SETTINGS.replace("bmf", form) + stage,
            ".gitignore": "/.runs/\n/bench.json\n/own.json\n__pycache__/\n.pytest_cache/\n",
            "test_io.py": "def test_read(benchmark):\n    benchmark.pedantic(sum, args=([1, 2],), rounds=3)\n",
        },
    )
    made.one.git("push", "-q", "origin", "HEAD")
    for one in (made.other, made.third):
        one.git("pull", "-q")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["git", "folder"])
def test_benchmarks_and_counters_of_two_clones_add_up(
    new_repo: Callable[[str], Repo], tmp_path: Path, tier: str
) -> None:
    store = str(tmp_path / "store") if tier == "folder" else "git"
    (tmp_path / "store").mkdir()
    shell = 'printf "%s" "$RESULTS" > bench.json; printf "%s" "{\\"cases\\": $CASES}" > own.json'
    made = seeded(new_repo, tmp_path, shell)
    for one, values in ((made.one, (1e-6, 2e-6, 3e-6)), (made.other, (4e-6, 5e-6))):
        for number, value in enumerate(values):
            env = {"RESULTS": bmf({"io::read": value, "io::write": 0.5}), "CASES": str(number)}
            ended = one.orchgate("run", "demo", "--task", TASK, env=env)
            assert ended.code == 0, ended.out
        told(one, "push", "--to", store)

    rows = show(made.third, "pipeline,benchmark", "--from", store)

    assert [(row["pipeline"], row["benchmark"], row["runs"], row["unit"]) for row in rows] == [
        ("demo", "io::read", 5, "ns"),
        ("demo", "io::write", 5, "ns"),
    ]
    assert (rows[0]["least_value"], rows[0]["most_value"]) == (1000, 5000)
    assert rows[0]["p50_value"] == pytest.approx(3000, rel=0.01)
    (counter,) = show(made.third, "counter", "--from", store)
    assert (counter["counter"], counter["runs"], counter["least_value"], counter["most_value"]) == ("cases", 5, 0, 2)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pytest_benchmark") is None, reason="pytest-benchmark is not installed")
def test_what_pytest_benchmark_measures_is_a_row(new_repo: Callable[[str], Repo], tmp_path: Path) -> None:
    pytest_ = f"env -u PYTEST_XDIST_WORKER {sys.executable} -m pytest"  # beside others it would not measure
    run = f"{pytest_} -q -p no:randomly --benchmark-json=bench.json test_io.py; echo {{}} > own.json"
    made = seeded(new_repo, tmp_path, run, "pytest-benchmark")
    ended = made.one.orchgate("run", "demo", "--task", TASK)
    assert ended.code == 0, ended.out
    told(made.one, "push")

    (row,) = show(made.other, "benchmark", "--from", "git")

    assert (row["benchmark"], row["runs"], row["unit"]) == ("test_io.py::test_read", 1, "ns")
    assert 0 < row["least_value"] < 1e9


@pytest.mark.slow
def test_a_figure_named_by_somebody_s_home_stays_here_and_is_counted(
    new_repo: Callable[[str], Repo], tmp_path: Path
) -> None:
    made = clones(new_repo("seed"), tmp_path)
    kept = ("tests/home/alice.py::read", "GET /api/home", "a/~/b")
    private = ("python /home/alice/x.py", "--file=/Users/alice/x", "~/x", "/root/x")
    stage = {"id": "build", "status": "succeeded", "metrics": {"'/home/alice/x'": 1, "cases": 2}}
    write_lines(
        made.one, [line(1, benchmarks=[{"name": name, "value": 1} for name in (*kept, *private)], stages=[stage])]
    )

    pushed = told(made.one, "push")

    assert [one["message"] for one in pushed["problems"]] == [
        f"5 figures of .runs/{TASK}/metrics.json: the name holds a path of somebody's home"
    ]
    rows = show(made.other, "benchmark", "--from", "git")
    assert {row["benchmark"] for row in rows} == set(kept)
    assert [row["counter"] for row in show(made.other, "counter", "--from", "git")] == ["cases"]


def on_terminal(repo: Repo, *words: str) -> list[str]:
    """The lines that a call prints on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with open(ours, "rb") as reader:
        subprocess.run([ORCHGATE, *words], cwd=repo.root, stdin=subprocess.DEVNULL, stdout=theirs, check=True)
        os.close(theirs)
        printed = bytearray()
        with contextlib.suppress(OSError):  # the end of what was written to a terminal
            while chunk := os.read(reader.fileno(), 65536):
                printed += chunk
    return printed.decode().splitlines()


@pytest.mark.slow
def test_rows_of_every_name_fit_80_columns_and_weeks_stay_whole(repo: Repo) -> None:
    stage = {"id": "unit-tests-of-all", "status": "succeeded", "metrics": {"instructions": 1}}
    repo.commit("start", {".gitignore": "/.runs/\n", "orchgate.toml": 'history.repository = "a-group/a-repository"\n'})
    write_lines(repo, [line(run, stages=[stage]) for run in (1, 3 * 3600)])
    names = "repository,month,week,task,pipeline,stage,machine"

    for by in (names, f"{names},counter"):
        shown = on_terminal(repo, "history", "show", "--by", by)

        assert max(map(len, shown)) <= 80
        assert all("2026-03  2026-W" in row and "…" not in row.split()[2] for row in shown[2:4])


@pytest.mark.slow
def test_benchmarks_are_told_apart_where_there_are_80_columns(repo: Repo) -> None:
    called = [
        f"tests/benchmarks/test_documents.py::test_reading_of_many_documents_at_once[large-{number}]"
        for number in (1, 2)
    ]
    found = [{"name": name, "value": 1.25e-6} for name in (*called, "two\nlines \x1b[31m")]
    stage = {"id": "build", "status": "succeeded", "metrics": {"instructions": 1_234_567, "huge": 1e300, "share": 0.25}}
    repo.commit("start", {".gitignore": "/.runs/\n"})
    write_lines(repo, [line(run, benchmarks=found, stages=[stage]) for run in (1, 3 * 3600)])

    shown = on_terminal(repo, "history", "show", "--by", "pipeline,benchmark")

    assert [row.split()[1:6:2] for row in shown[2:4]] == [
        ["…ding_of_many_documents_at_once[large-1]", "1.25", "1.25"],
        ["…ding_of_many_documents_at_once[large-2]", "1.25", "1.25"],
    ]
    assert r"two\nlines \x1b[31m" in shown[4]
    assert max(map(len, shown)) <= 80
    plotted = on_terminal(repo, "history", "show", "--by", "benchmark", "--plot")
    drawn = plotted[plotted.index("median, week by week, oldest first:") + 1 :]
    assert all("_at_once[large-" in row for row in drawn[:2])
    counters = on_terminal(repo, "history", "show", "--by", "counter")
    assert [row.split()[2] for row in counters[2:]] == ["1e+300", "1,234,570", "0.25"]
