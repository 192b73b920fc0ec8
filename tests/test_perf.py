"""`orchgate perf`: base and head measured in turn, and recorded samples judged by the same code."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from tests.published import closed
from tests.repo import ORCHGATE, Repo, Result
from tests.runs import Project, living, until

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

PYTHON = sys.executable
SCHEMA = closed("perf")
QUICK = ("--max-pairs", "2")  # where the verdict does not hang on the statistics
WORK = "import sys\nfor _ in range({rounds}):\n    sum(range(1000))\n"


@pytest.fixture
def project(repo: Repo) -> Project:
    """A repository on branch `topic`, one commit behind which is `main`; nothing in it yet."""
    made = Project(repo)
    repo.commit(files={"work.py": WORK.format(rounds=2000), ".gitignore": ".runs/\nout/\n"})
    return made


def branch(project: Project, files: Mapping[str, str | bytes] | None = None) -> None:
    """From here on what is committed is the change that is judged."""
    project.repo.git("checkout", "--quiet", "-b", "topic")
    project.repo.commit("the change", files)


def perf(project: Project, *args: str, env: Mapping[str, str] | None = None) -> Result:
    return project.repo.orchgate("perf", *args, env=env)


def document(project: Project, *args: str) -> dict[str, Any]:
    """The JSON of a measurement, once it fits its schema."""
    completed = subprocess.run(
        [ORCHGATE, "perf", "--output-format", "json", *args], cwd=project.root, capture_output=True, check=False
    )
    assert completed.stdout, completed.stderr.decode()
    found: dict[str, Any] = json.loads(completed.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def two_stages(project: Project) -> None:
    project.define(
        "demo", {"id": "start", "run": [PYTHON, "-S", "-c", "0"]}, {"id": "test", "run": [PYTHON, "work.py"]}
    )


# The story


@pytest.mark.slow
def test_a_slower_head_is_refused_and_its_stage_named(project: Project) -> None:
    two_stages(project)
    branch(project, {"work.py": WORK.format(rounds=8_000)})

    result = perf(project, "demo", "--max-time", "120")

    assert result.code == 1
    assert "fail: CPU time" in result.out  # by statistics, or far beyond
    assert "  in stage test: " in result.out
    assert "(merge base with main)" in result.out


@pytest.mark.slow
def test_the_same_work_is_not_refused(project: Project) -> None:
    two_stages(project)

    assert perf(project, "--base", "HEAD", "demo", "--max-pairs", "8").code == 0


@pytest.mark.slow
def test_a_command_is_measured_without_any_configuration(project: Project) -> None:
    branch(project, {"work.py": WORK.format(rounds=8_000)})

    found = document(project, "--max-time", "120", "--", PYTHON, "work.py")

    assert found["verdict"] == "fail"
    cpu = next(metric for metric in found["metrics"] if metric["name"] == "cpu_seconds")
    assert cpu["verdict"] == "fail"
    assert cpu["head"] > cpu["base"]  # be it by statistics or because it is several times as long


def test_an_extra_manifest_write_is_refused_by_count_alone(project: Project) -> None:
    write = "mkdir -p .runs/t/cli/r; for n in 1{more}; do echo $n > .runs/t/cli/r/manifest.json; done"
    project.define("demo", {"id": "write", "shell": "sh write.sh"})
    project.repo.commit(files={"write.sh": write.format(more="")})
    branch(project, {"write.sh": write.format(more=" 2")})

    result = perf(project, "demo", "--max-pairs", "5")

    assert result.code == 1
    assert "fail: manifest writes 1 -> 2" in result.out


# What is compared


def test_the_measurement_can_be_repeated_as_it_says(project: Project) -> None:
    branch(project)
    found = document(project, *QUICK, "--", "true")

    again = subprocess.run(
        shlex.split(found["reproduce"]), cwd=project.root, capture_output=True, check=False, env=env()
    )

    assert found["head"]["commit"][:12].encode() in again.stdout
    assert b"2 pairs" in again.stdout


def env() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(ORCHGATE).parent}:{os.environ['PATH']}"}


def test_both_sides_run_the_definition_of_the_base(project: Project) -> None:
    project.define("demo", {"id": "say", "run": ["sh", "-c", "exit 0"]}, {"id": "old", "run": ["true"]})
    project.repo.git("checkout", "--quiet", "-b", "topic")
    text = (project.root / "orchgate.toml").read_text()
    project.repo.commit(files={"orchgate.toml": text.replace("exit 0", "exit 7").replace('"old"', '"new"')})

    found = document(project, *QUICK, "demo")

    assert [stage["id"] for stage in found["stages"]] == ["say", "old"]
    assert found["definition"] == {
        "changed": ["renames stage old to new", "changes the command of stage say: sh -c 'exit 0' -> sh -c 'exit 7'"],
        "added": [],
    }


def test_stages_that_head_adds_are_named_with_their_cost_and_not_judged(project: Project) -> None:
    project.define("demo", {"id": "same", "run": ["true"]})
    project.repo.git("checkout", "--quiet", "-b", "topic")
    text = (project.root / "orchgate.toml").read_text()
    project.repo.commit(files={"orchgate.toml": text + '[[pipelines.demo.stages]]\nid = "new"\nrun = ["true"]\n'})

    result = perf(project, *QUICK, "demo")

    assert "note: demo is measured as the base defines it; this change adds stage new (" in result.out
    assert "s of CPU time, " in result.out


def test_the_limits_are_those_of_the_base(project: Project) -> None:
    write = "mkdir -p .runs/t/cli/r; for n in 1{more}; do echo $n > .runs/t/cli/r/manifest.json; done"
    project.define("demo", {"id": "write", "shell": "sh write.sh"})
    project.repo.commit(files={"write.sh": write.format(more="")})
    text = (project.root / "orchgate.toml").read_text()
    looser = "[performance.metrics]\nmanifest-writes = { block = 9 }\n"
    branch(project, {"write.sh": write.format(more=" 2"), "orchgate.toml": looser + text})

    result = perf(project, "demo", "--max-pairs", "5")

    assert result.code == 1
    assert "note: [performance] of this work tree differs from base's, which was used" in result.out


def test_a_pipeline_that_only_head_defines_is_named_and_not_refused(project: Project) -> None:
    project.repo.git("checkout", "--quiet", "-b", "topic")
    project.define("demo", {"id": "say", "run": ["true"]})

    result = perf(project, "demo")

    assert result.code == 0
    assert "inconclusive: pipeline demo is new: there is no base to compare it with" in result.out


def test_a_pipeline_that_only_head_defines_is_named_for_programs(project: Project) -> None:
    project.repo.git("checkout", "--quiet", "-b", "topic")
    project.define("demo", {"id": "say", "run": ["true"]})

    assert document(project, "demo")["definition"]["changed"] == ["introduces pipeline demo"]


def test_a_gate_that_only_head_has_is_no_refusal(project: Project) -> None:
    project.define("demo", {"id": "say", "run": ["true"]})
    project.repo.git("checkout", "--quiet", "-b", "topic")
    text = (project.root / "orchgate.toml").read_text()
    project.repo.commit(files={"orchgate.toml": '[performance]\npipeline = "demo"\n' + text})

    result = perf(project, *QUICK)

    assert result.code == 0
    assert "this change makes demo what is measured from the next push on" in result.out


def test_a_pipeline_that_nobody_defines_is_named(project: Project) -> None:
    branch(project)
    result = perf(project, "demo")

    assert result.code == 2
    assert "there is no pipeline 'demo'" in result.out


def test_stages_of_sub_pipelines_are_measured_one_by_one(project: Project) -> None:
    project.define("inner", {"id": "one", "run": ["true"]}, {"id": "two", "run": ["true"]})
    project.define("outer", {"id": "first", "run": ["true"]}, {"id": "call", "pipeline": "inner", "needs": ["first"]})
    branch(project)

    assert [stage["id"] for stage in document(project, *QUICK, "outer")["stages"]] == ["first", "call/one", "call/two"]


def test_changes_that_are_not_committed_are_not_measured_and_that_is_said(project: Project) -> None:
    branch(project)
    project.repo.write("work.py", "raise SystemExit(9)\n")

    result = perf(project, *QUICK, "--", PYTHON, "-S", "work.py")

    assert result.code == 0
    assert "note: changes that are not committed were not measured" in result.out


def test_a_command_runs_in_the_folder_it_was_typed_in(project: Project) -> None:
    project.repo.commit(files={"sub/only-here": "x\n"})
    branch(project)

    result = project.repo.orchgate("perf", *QUICK, "--", "cat", "only-here", cwd=project.root / "sub")

    assert result.code == 0


SAME = "import os, sys; sys.exit(len({os.environ.get(name) for name in ('PYTHONHASHSEED',)} - {'0'}))"


def test_hashes_are_the_same_every_time(project: Project) -> None:
    branch(project)

    assert perf(project, *QUICK, "--", PYTHON, "-c", SAME).code == 0


def test_nothing_of_a_hook_s_environment_leaks(project: Project) -> None:
    branch(project)
    hook = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "PRE_COMMIT": "1", "PRE_COMMIT_TO_REF": "HEAD"}
    code = "import os, sys; left = [n for n in os.environ if n in sys.argv]; sys.exit(str(left) if left else 0)"

    result = perf(project, *QUICK, "--base", "main", "--", PYTHON, "-c", code, *hook, env=hook)

    assert result.code == 0, result.out


def test_the_current_folder_is_the_one_the_environment_names(project: Project) -> None:
    branch(project)

    assert perf(project, *QUICK, "--", PYTHON, "-c", "import os; assert os.environ['PWD'] == os.getcwd()").code == 0


def test_tests_that_are_gone_are_noticed(project: Project) -> None:
    project.define("demo", {"id": "test", "run": ["sh", "-c", "cat result"]})
    project.repo.commit(files={"result": "===== 5 passed in 0.01s =====\n"})
    branch(project, {"result": "===== 4 passed in 0.01s =====\n"})

    result = perf(project, "demo", "--max-pairs", "5")

    assert result.code == 1
    assert "fail: tests passed 5 -> 4" in result.out


# Sides that fail


def test_a_base_that_fails_is_no_verdict_on_head(project: Project) -> None:
    project.repo.commit(files={"code": "exit 3\n"})
    branch(project, {"code": "exit 0\n"})

    result = perf(project, "--", "sh", "code")

    assert result.code == 3
    assert "broken: stage command fails (exit 3) on base, passes on head" in result.out


def test_both_failing_is_no_verdict(project: Project) -> None:
    branch(project)

    result = perf(project, "--", "sh", "-c", "echo FAILED a::b - why; echo 1 failed in 0.1s; exit 4")

    assert result.code == 3
    said = "FAILED a::b - why; 1 failed in 0.1s"
    assert f"broken: stage command fails (exit 4) on base and on head alike: {said}" in result.out
    assert "hint: sh -c 'echo FAILED a::b" in result.out


def test_a_program_that_is_not_there_is_no_verdict(project: Project) -> None:
    branch(project)

    result = perf(project, "--", "no-such-program-anywhere")

    assert result.code == 3
    assert "cannot run no-such-program-anywhere" in result.out


def test_a_stage_that_hangs_on_head_is_ended_and_named(project: Project) -> None:
    project.define("demo", {"id": "wait", "run": ["sh", "code"], "timeout-seconds": 1})
    project.repo.commit(files={"code": "exit 0\n"})
    branch(project, {"code": "sleep 600\n"})

    result = perf(project, "demo")

    assert result.code == 1
    assert "fail: stage wait fails (timed out after 1 s) on head, passes on base" in result.out


def test_a_command_that_fails_now_and_then_is_not_called_broken(project: Project, tmp_path: Path) -> None:
    branch(project)
    (tmp_path / "count").write_text("0")
    code = f"n=$(($(cat {tmp_path}/count) + 1)); echo $n > {tmp_path}/count; test $((n % 5)) != 0"

    found = document(project, "--max-pairs", "8", "--", "sh", "-c", code)

    assert (found["stopped"] != "failed", found["verdict"] != "broken") == (True, True)
    assert [note for note in found["notes"] if "runs of base failed" in note or "runs of head failed" in note]


def test_a_stage_that_may_fail_does_not_end_the_comparison(project: Project) -> None:
    project.define("demo", {"id": "lint", "run": ["false"], "allow-failure": True}, {"id": "test", "run": ["true"]})
    branch(project)

    found = document(project, *QUICK, "demo")

    assert found["failures"] == []
    assert "stage lint fails on head, which is allowed (exit 1)" in found["notes"]


def test_a_budget_that_is_too_small_says_what_is_needed(project: Project) -> None:
    branch(project)

    result = perf(project, "--max-time", "1s", "--", "sleep", "0.3")

    assert result.code == 0
    assert "inconclusive: " in result.out
    assert "stopped at the time limit" in result.out


def test_a_run_that_outlasts_the_budget_is_ended(project: Project) -> None:
    branch(project)

    result = perf(project, "--max-time", "0.3", "--", "sleep", "611")

    assert "inconclusive: " in result.out
    assert "the time limit was reached before base and head had run once" in result.out
    assert living("sleep\x00611") == []


def test_undecided_blocks_where_the_policy_says_so(project: Project) -> None:
    project.repo.commit(files={"orchgate.toml": '[performance]\ninconclusive = "block"\n'})
    branch(project)

    assert perf(project, "--max-time", "0.3", "--", "sleep", "0.4").code == 3


# Prepared trees


def prepared(project: Project, *command: str) -> None:
    project.repo.commit(files={"orchgate.toml": f"[performance]\nprepare = {json.dumps(command)}\n"})
    project.repo.commit(files={".gitignore": "made\n"})


def test_a_tree_is_prepared_once(project: Project, tmp_path: Path) -> None:
    prepared(project, "sh", "-c", f"echo x >> {tmp_path}/prepared; echo yes > made")
    branch(project, {"x": "y\n"})

    first = perf(project, *QUICK, "--", "cat", "made")
    second = perf(project, *QUICK, "--", "cat", "made")

    assert (first.code, second.code) == (0, 0)
    assert (tmp_path / "prepared").read_text() == "x\nx\n"


def test_a_base_that_cannot_be_prepared_is_named(project: Project) -> None:
    prepared(project, "sh", "-c", "cat x")
    branch(project, {"x": "y\n"})

    result = perf(project, *QUICK, "--", "true")

    assert result.code == 3
    assert "broken: performance.setup fails (exit 1) on base, passes on head: cat: x: " in result.out


def test_a_head_that_cannot_be_prepared_is_refused(project: Project) -> None:
    prepared(project, "sh", "-c", "test ! -e x")
    branch(project, {"x": "y\n"})

    result = perf(project, *QUICK, "--", "true")

    assert result.code == 1
    assert "fail: performance.setup fails (exit 1) on head, passes on base" in result.out


def test_what_a_failed_preparation_left_does_not_count(project: Project) -> None:
    prepared(project, "sh", "-c", "test -e made && exit 9; touch made; exit 1")
    branch(project)
    perf(project, *QUICK, "--", "true")

    again = perf(project, *QUICK, "--", "true")

    assert "performance.setup fails (exit 1) on base and on head alike" in again.out


def test_where_both_fail_what_git_ignores_is_thought_of(project: Project) -> None:
    project.repo.write("out/library", "x\n")
    branch(project)

    result = perf(project, "--", "cat", "out/library")

    assert "note: what git ignores (node_modules, .venv, …) and sub-repositories are not in these trees" in result.out


def test_a_program_that_would_be_the_same_on_both_sides_is_warned_of(project: Project, tmp_path: Path) -> None:
    branch(project)
    installed = tmp_path / "venv/lib/python3.11/site-packages/demo-1.dist-info"
    installed.mkdir(parents=True)
    facts = {"url": f"file://{project.root}", "dir_info": {"editable": True}}
    (installed / "direct_url.json").write_text(json.dumps(facts))

    result = perf(project, *QUICK, "--", "true", env={"VIRTUAL_ENV": str(tmp_path / "venv")})

    assert "note: demo-1 is installed from this work tree" in result.out


# Interruptions and neighbours


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything(project: Project, tmp_path: Path, number: signal.Signals) -> None:
    branch(project)
    code = f"touch {tmp_path}/runs; sleep 613 & sleep 613"
    child = subprocess.Popen([ORCHGATE, "perf", "--", "sh", "-c", code], cwd=project.root, stdout=subprocess.PIPE)
    until((tmp_path / "runs").exists)

    child.send_signal(number)
    child.communicate(timeout=20)

    assert child.returncode == 130
    assert living("sleep\x00613") == []


def test_a_killed_measurement_leaves_no_process_and_a_usable_tree(project: Project, tmp_path: Path) -> None:
    branch(project)
    code = f"echo torn > work.py; touch {tmp_path}/runs; sleep 617"
    child = subprocess.Popen([ORCHGATE, "perf", "--", "sh", "-c", code], cwd=project.root, stdout=subprocess.PIPE)
    until((tmp_path / "runs").exists)

    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=20)

    until(lambda: not living("sleep\x00617"))
    assert perf(project, *QUICK, "--", PYTHON, "-S", "work.py").code == 0


def test_two_at_once_do_not_disturb_each_other(project: Project) -> None:
    branch(project)
    argv = [
        ORCHGATE,
        "perf",
        "--max-pairs",
        "5",
        "--",
        "sh",
        "-c",
        "test ! -e here && touch here && sleep 0.02; rm here",
    ]
    both = [subprocess.Popen(argv, cwd=project.root, stdout=subprocess.PIPE) for _ in range(2)]

    outputs = [one.communicate(timeout=60)[0].decode() for one in both]

    assert ["5 pairs" in output for output in outputs] == [True, True]


def test_git_status_is_as_before(project: Project) -> None:
    branch(project)

    perf(project, *QUICK, "--", "true")

    assert project.repo.git("status", "--porcelain") == ""


# Samples


def test_samples_are_kept_and_judged_the_same_again(project: Project, tmp_path: Path) -> None:
    branch(project)
    found = document(project, "--max-pairs", "8", "--output", str(tmp_path / "s.jsonl"), "--", "true")

    again = document(project, "--replay", str(tmp_path / "s.jsonl"))

    (stream,) = again["streams"]
    assert stream["stream"] == "true"
    assert (stream["verdict"], stream["metrics"]) == (found["verdict"], found["metrics"])


def test_samples_are_kept_beside_the_repository_s_own_files(project: Project) -> None:
    branch(project)

    found = document(project, *QUICK, "--", "true")

    assert found["samples"].startswith(".git/orchgate/perf/")
    lines = [json.loads(line) for line in (project.root / found["samples"]).read_text().splitlines()]
    assert [(line["pair"], line["order"]) for line in lines] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def stream(name: str, factor: float, pairs: int = 32) -> str:
    """Samples in which head takes `factor` times as long, with a little noise."""
    lines = []
    for pair in range(pairs):
        for order, arm in enumerate(("base", "head") if pair % 2 else ("head", "base")):
            noise = 1 + ((pair * 7 + order * 3) % 11) / 1000
            seconds = 0.1 * noise * (factor if arm == "head" else 1.0)
            metrics = {"cpu_seconds": seconds, "wall_seconds": seconds + 0.01}
            lines.append(json.dumps({"stream": name, "pair": pair, "arm": arm, "order": order, "metrics": metrics}))
    return "\n".join(lines) + "\n"


def replay(repo: Repo, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [ORCHGATE, "perf", "--replay", "-", *args]
    return subprocess.run(argv, cwd=repo.root, input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("factor", "code", "verdict"), [(1.0, 0, "pass"), (1.3, 1, "fail"), (0.7, 0, "pass")])
def test_a_recorded_stream_is_judged(repo: Repo, factor: float, code: int, verdict: str) -> None:
    completed = replay(repo, stream("s", factor))

    assert completed.returncode == code
    assert completed.stdout.startswith(f"s: {verdict}: CPU time ")


def test_the_worst_of_several_streams_counts(repo: Repo) -> None:
    completed = replay(repo, stream("a", 1.0) + stream("b", 1.3), "--output-format", "json")

    found = json.loads(completed.stdout)
    jsonschema.validate(found, SCHEMA)
    assert completed.returncode == 1
    assert [(one["stream"], one["verdict"]) for one in found["streams"]] == [("a", "pass"), ("b", "fail")]


def test_a_replay_needs_no_repository(tmp_path: Path) -> None:
    argv = [ORCHGATE, "perf", "--replay", "-"]
    completed = subprocess.run(argv, cwd=tmp_path, input=stream("s", 1.3).encode(), capture_output=True, check=False)

    assert completed.returncode == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no samples"),
        ("null\n", "line 1: not an object"),
        ('{"stream": "s", "pair": 0, "arm": "base", "order": 0, "metrics": {}}\n', "pair 0 has no head"),
    ],
)
def test_samples_that_are_none_are_no_verdict(repo: Repo, text: str, said: str) -> None:
    completed = replay(repo, text)

    assert completed.returncode == 3
    assert said in completed.stderr


def test_names_in_samples_cannot_write_on_the_terminal(repo: Repo) -> None:
    completed = replay(repo, stream("\x1b[31mred", 1.0))

    assert "\x1b" not in completed.stdout


# Usage


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--base", "HEAD"], "nothing to measure"),
        (["demo", "--", "true"], "a pipeline or a command, not both"),
        (["--max-time", "0", "demo"], "--max-time: expected a time up to 24h"),
        (["--max-pairs", "0", "demo"], "--max-pairs: expected a whole number from 1 on"),
        (["--replay", "x", "demo"], "nothing is run"),
        (["--replay", "x", "--exact"], "nothing is run"),
        (["--print-job", "github", "--exact"], "--print-job measures nothing"),
        (["--replay", "no-such-file"], "no-such-file: cannot be read"),
        (["--", "true"], "is on the default branch"),
        (["--base", "HEAD", "no-such"], "there is no pipeline 'no-such'"),
    ],
)
def test_wrong_usage_is_named(project: Project, capsys: pytest.CaptureFixture[str], args: list[str], said: str) -> None:
    assert main(["perf", *args]) == 2
    assert said in capsys.readouterr().err


def test_a_base_that_is_not_here_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", "--base", "no-such-branch", "--", "true"]) == 3
    assert "no commit 'no-such-branch' in this repository" in capsys.readouterr().err


def test_the_configured_pipeline_is_the_default(project: Project) -> None:
    project.define("demo", {"id": "say", "run": ["true"]})
    with (project.root / "orchgate.toml").open("a") as file:
        file.write('[performance]\npipeline = "demo"\n')
    project.repo.commit(files={"orchgate.toml": (project.root / "orchgate.toml").read_text()})
    branch(project)

    assert perf(project, *QUICK).out.startswith("demo: base ")
