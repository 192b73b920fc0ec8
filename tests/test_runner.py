"""`orchgate run`: what happens to stages, and what is recorded of it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE
from tests.runs import TASK, Project, events, living, manifest, stop, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.write(".git/info/exclude", ".runs/\n")
    return Project(repo)


def test_a_first_run_that_git_would_take_says_so_and_leaves_its_output_alone(repo: Repo) -> None:
    made = Project(repo)
    made.define("demo", {"id": "one", "run": ["true"]})
    argv = [ORCHGATE, "run", "demo", "--task", TASK, "--output-format", "json"]
    first, second = (subprocess.run(argv, cwd=repo.root, capture_output=True, check=True) for _ in range(2))

    told = "orchgate: git does not ignore .runs/, where runs are recorded\n  hint: orchgate init --gitignore\n"
    assert (told in first.stderr.decode(), told in second.stderr.decode()) == (True, False)
    assert [run["status"] for run in json.loads(first.stdout)["runs"]] == ["succeeded"]


def test_a_run_that_succeeds_exits_0(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    assert project.run().code == 0


def test_a_required_stage_that_fails_makes_it_1(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "exit 3"})
    assert project.run().code == 1


def test_the_exit_code_of_a_stage_is_recorded(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "exit 3"})
    project.run()
    assert project.stages()["one"]["exit_code"] == 3


def test_a_stage_that_may_fail_does_not_fail_the_run(project: Project) -> None:
    project.define(
        "demo",
        {"id": "one", "shell": "exit 3", "allow-failure": True},
        {"id": "two", "run": ["true"], "needs": ["one"]},
    )
    result = project.run()
    assert (result.code, project.stages()["one"]["status"], project.stages()["two"]["status"]) == (
        0,
        "failed",
        "succeeded",
    )


def test_what_needs_a_failed_stage_is_skipped_and_says_why(project: Project) -> None:
    project.define(
        "demo",
        {"id": "one", "run": ["false"]},
        {"id": "two", "run": ["true"], "needs": ["one"]},
        {"id": "three", "run": ["true"], "needs": ["two"]},
    )
    project.run()
    assert {name: (stage["status"], stage["status_detail"]) for name, stage in project.stages().items()} == {
        "one": ("failed", "exit 1"),
        "two": ("skipped", "needs one"),
        "three": ("skipped", "needs one"),
    }


def test_stages_that_need_nothing_of_a_failed_one_still_run(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"]}, {"id": "two", "run": ["true"]})
    project.run()
    assert project.stages()["two"]["status"] == "succeeded"


def test_a_stage_starts_after_what_it_needs(project: Project) -> None:
    project.define(
        "demo",
        {"id": "late", "shell": "cat made", "needs": ["early"]},
        {"id": "early", "shell": "sleep 0.1; echo yes > made"},
    )
    assert project.run().code == 0


def test_independent_stages_run_side_by_side(project: Project) -> None:
    # Each waits for the other's file: one after the other would be a deadlock, which the timeout ends.
    wait = "touch {}; until test -e {}; do sleep 0.01; done"
    project.define(
        "demo",
        {"id": "one", "shell": wait.format("a", "b"), "timeout-seconds": 20},
        {"id": "two", "shell": wait.format("b", "a"), "timeout-seconds": 20},
        **{"max-parallel": 2},
    )
    assert project.run().code == 0


def test_no_more_stages_at_once_than_allowed(project: Project) -> None:
    shell = "mkdir busy && sleep 0.05 && rmdir busy"
    project.define("demo", *({"id": f"s{n}", "shell": shell} for n in range(4)), **{"max-parallel": 1})
    assert project.run().code == 0


def test_standard_input_is_closed(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": 'test -z "$(cat)"'})
    assert project.run().code == 0


@pytest.mark.parametrize("variable", ["CI", "GIT_TERMINAL_PROMPT", "PAGER", "DEBIAN_FRONTEND"])
def test_nobody_is_there_to_be_asked(project: Project, variable: str) -> None:
    project.define("demo", {"id": "one", "shell": f'test -n "${variable}"'})
    assert project.run().code == 0


def test_a_stage_s_own_environment_wins(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo $PAGER", "env": {"PAGER": "mine"}})
    project.run()
    assert project.log("one") == b"mine\n"


def test_stages_are_told_where_their_artifacts_go(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": 'echo x > "$ORCHGATE_ARTIFACTS/made"'})
    project.run()
    assert (project.folders()[0] / "artifacts" / "made").exists()


def test_a_stage_works_in_its_folder(project: Project) -> None:
    (project.root / "sub").mkdir()
    project.define("demo", {"id": "one", "run": ["pwd"], "cwd": "sub"})
    project.run()
    assert project.log("one").endswith(b"/sub\n")


def test_a_folder_that_is_not_there_is_a_recorded_failure(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["pwd"], "cwd": "nowhere"})
    assert (project.run().code, "nowhere" in project.stages()["one"]["status_detail"]) == (1, True)


def test_a_missing_program_is_a_recorded_failure(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["no-such-program-here"]})
    result = project.run()
    assert result.code == 1
    assert project.stages()["one"]["status_detail"] == "cannot run no-such-program-here: No such file or directory"


def test_both_streams_go_to_the_log(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo out; echo err >&2"})
    project.run()
    assert project.log("one") == b"out\nerr\n"


def test_binary_output_is_kept_byte_for_byte(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "printf '\\000\\377\\033[31m\\r\\n'; exit 1"})
    project.run()
    assert project.log("one") == b"\x00\xff\x1b[31m\r\n"


def test_escape_sequences_of_a_stage_do_not_reach_the_terminal(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "printf '\\033[31mred\\n'; exit 1"})
    assert "\x1b" not in project.run().out


def test_a_stage_that_fails_and_then_passes_is_flaky_everywhere(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "test -e mark || { touch mark; exit 1; }", "retries": 2})
    result = project.run()
    told = (project.stages()["one"]["flaky"], project.manifest()["flaky"], project.entries()[0]["flaky"])
    assert (result.code, told, "flaky: one" in result.out) == (0, (True, ["one"], ["one"]), True)


def test_every_attempt_is_recorded(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"], "retries": 2})
    project.run()
    attempts = project.stages()["one"]["attempts"]
    assert [(a["number"], a["status"], a["exit_code"]) for a in attempts] == [(n, "failed", 1) for n in (1, 2, 3)]


def test_attempts_wait_for_their_delay(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"], "retries": 1, "retry-delay-seconds": 0.3})
    project.run()
    assert project.manifest()["usage"]["wall_seconds"] >= 0.3


def test_a_stage_over_its_time_is_ended_with_all_its_children(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "sleep 314.15 & sleep 314.15", "timeout-seconds": 0.2})
    project.run()
    stage = project.stages()["one"]
    assert (stage["status"], stage["status_detail"], living("314.15")) == ("failed", "timed out after 0.2 s", [])


def test_a_stage_that_says_0_when_it_is_told_to_end_has_still_failed(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "trap 'exit 0' TERM; sleep 60 & wait", "timeout-seconds": 0.2})
    assert (project.run().code, project.stages()["one"]["attempts"][0]["timed_out"]) == (1, True)


def test_a_stage_that_ignores_being_told_is_killed(project: Project) -> None:
    deaf = "trap '' TERM; touch deaf; while :; do sleep 0.1; done"
    for seconds in (0.2, 5, 60):  # a busy machine may end it before it has begun to ignore anything
        project.define("demo", {"id": "one", "shell": deaf, "timeout-seconds": seconds})
        project.run()
        if (project.root / "deaf").exists():
            break
    assert project.stages()["one"]["attempts"][0]["signal"] == "SIGKILL"


WITH_HELPER = """
import sys
from orchgate.cli import main
from orchgate.runner import start_and_reap
start_and_reap._PLACES = (sys.argv[1],)
start_and_reap.loadable = lambda *_: True
sys.exit(main(["run", "demo", "--task", sys.argv[2]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no helper here")
@pytest.mark.parametrize(
    ("helper", "code", "detail"),
    [
        ("false", 0, None),  # it starts nothing, and the program is started without it
        ("true", 1, "cannot run echo: it started, but its process cannot be found"),
    ],
)
def test_a_helper_that_starts_nothing(project: Project, helper: str, code: int, detail: str | None) -> None:
    project.define("demo", {"id": "one", "run": ["echo", "hi"]}, {"id": "two", "run": ["echo", "hi"], "needs": []})
    argv = [sys.executable, "-c", WITH_HELPER, shutil.which(helper) or "", TASK]
    ended = subprocess.run(argv, cwd=project.root, stdout=subprocess.DEVNULL, check=False)

    details = [stage["status_detail"] for stage in project.stages().values()]
    assert (ended.returncode, details) == (code, [detail, detail])


@pytest.mark.skipif(sys.platform != "linux", reason="no helper here")
def test_what_a_program_left_behind_is_not_taken_for_the_program(project: Project) -> None:
    """A helper that ends late hands us the program after what that left behind."""
    helper = project.root.parent / "helper"
    helper.write_text('#!/bin/sh\nshift\nsetsid "$@" &\nexec sleep 0.3\n')
    helper.chmod(0o755)
    project.define("demo", {"id": "one", "shell": "sleep 271.86 & exit 0", "timeout-seconds": 60})
    argv = [sys.executable, "-c", WITH_HELPER, str(helper), TASK]
    ended = subprocess.run(argv, cwd=project.root, stdout=subprocess.DEVNULL, check=False)

    assert (ended.returncode, living("271.86")) == (0, [])
    assert project.stages()["one"]["status_detail"] == "1 process left behind was ended"


SYNCED = """
import json, os, sys
from orchgate.cli import main
from orchgate.lib import files
def noted(descriptor):
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/events.jsonl"):
        last = os.pread(descriptor, 1 << 20, 0).splitlines()[-1]
        print("synced after", json.loads(last)["event"], file=sys.stderr)
files._sync_content = noted
sys.exit(main(["run", "demo", "--task", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_a_stage_alone_starts_when_the_end_of_the_one_before_is_on_disk(project: Project) -> None:
    project.define("demo", *({"id": name, "run": ["true"]} for name in "abc"), **{"max-parallel": 1})
    argv = [sys.executable, "-c", SYNCED, TASK]
    ended = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, check=True)

    synced = [line.split()[-1] for line in ended.stderr.splitlines() if line.startswith("synced after")]
    assert synced == ["run", "end", "end", "end", "finish"]


@pytest.mark.skipif(not shutil.which("prlimit"), reason="no prlimit here")
def test_whoever_is_known_by_its_session_alone_is_ended_with_the_runner(project: Project) -> None:
    strange = "exec prlimit --locks=unlimited env -i sh -c 'echo up; exec sleep 271.85'"
    project.define("demo", {"id": "before", "run": ["true"]}, {"id": "strange", "shell": strange})
    runner = project.start()
    project.wait_for_output(b"up")
    stop(runner)
    until(lambda: not living("271.85"))


def test_a_stage_that_closes_its_output_early_is_waited_for(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "exec >&- 2>&-; sleep 0.2; touch done"})
    assert (project.run().code, (project.root / "done").exists()) == (0, True)


def test_a_daemon_that_holds_the_output_is_ended_and_reported(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "setsid sleep 271.82 & echo hi"})
    result = project.run()
    assert (result.code, living("271.82")) == (0, [])
    assert project.stages()["one"]["status_detail"] == "1 process left behind was ended"


def test_a_daemon_that_has_hidden_well_is_ended(project: Project) -> None:
    hidden = "setsid sh -c 'setsid sleep 161.80 >/dev/null 2>&1 </dev/null & ' >/dev/null 2>&1 &"
    project.define("demo", {"id": "one", "shell": hidden})
    project.run()
    assert living("161.80") == []


def test_a_daemon_of_one_stage_ends_without_those_that_still_run(project: Project) -> None:
    project.define(
        "demo",
        {"id": "daemon", "shell": "setsid sleep 141.42 & touch begun"},
        {"id": "other", "shell": "until test -e begun; do sleep 0.01; done; sleep 0.3"},
        **{"max-parallel": 2},
    )
    assert (project.run().code, living("141.42")) == (0, [])


def test_a_daemon_that_ignores_being_told_is_killed(project: Project) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(173.205)"
    script = f'setsid {sys.executable} -c "{stubborn}" > up & until grep -q up up; do sleep 0.01; done'
    project.define("demo", {"id": "one", "shell": script})
    project.run()
    assert living("173.205") == []


def test_a_sub_pipeline_is_a_run_of_its_own_with_lineage(project: Project) -> None:
    project.define("inner", {"id": "one", "run": ["true"]})
    project.define("outer", {"id": "call", "pipeline": "inner"})
    assert project.run("outer").code == 0
    outer, inner = manifest(project.folders()[0]), manifest(project.folders()[1])
    assert (inner["parent_run_id"], outer["child_runs"][0]["run_id"]) == (outer["run_id"], inner["run_id"])


def test_a_sub_pipeline_that_fails_fails_its_caller(project: Project) -> None:
    project.define("inner", {"id": "one", "run": ["false"]})
    project.define("outer", {"id": "call", "pipeline": "inner"}, {"id": "after", "run": ["true"], "needs": ["call"]})
    assert project.run("outer").code == 1
    stages = manifest(project.folders()[0])["commands"]
    assert [stage["status"] for stage in stages] == ["failed", "skipped"]


def test_a_sub_pipeline_over_its_time_is_ended_and_nothing_else(project: Project) -> None:
    project.define(
        "inner", {"id": "one", "shell": "sleep 244.9 & sleep 244.9"}, {"id": "two", "run": ["true"], "needs": ["one"]}
    )
    project.define(
        "outer", {"id": "call", "pipeline": "inner", "timeout-seconds": 0.3}, {"id": "other", "run": ["sleep", "0.6"]}
    )
    assert project.run("outer").code == 1
    outer, inner = (manifest(folder) for folder in project.folders())
    call, other = outer["commands"]
    assert (call["status"], call["status_detail"], other["status"]) == ("failed", "timed out after 0.3 s", "succeeded")
    assert (inner["status"], inner["status_detail"], living("244.9")) == ("cancelled", "timeout", [])
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_sub_pipeline_that_is_repeated_is_a_new_run(project: Project) -> None:
    project.define("inner", {"id": "one", "shell": "test -e mark || { touch mark; exit 1; }"})
    project.define("outer", {"id": "call", "pipeline": "inner", "retries": 1})
    assert project.run("outer").code == 0
    outer = manifest(project.folders()[0])
    assert ([child["status"] for child in outer["child_runs"]], outer["flaky"]) == (["failed", "succeeded"], ["call"])
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_the_environment_of_a_calling_stage_reaches_the_called_ones(project: Project) -> None:
    project.define("inner", {"id": "one", "shell": "test $GREETING = hello"})
    project.define("outer", {"id": "call", "pipeline": "inner", "env": {"GREETING": "hello"}})
    assert project.run("outer").code == 0


def test_a_sequential_pipeline_stops_at_the_first_failure(project: Project) -> None:
    stages = [
        {"kind": "command", "id": name, "command": line}
        for name, line in (("a", "true"), ("b", "exit 2"), ("c", "true"))
    ]
    project.repo.write("codex.orchestrator.json", json.dumps({"pipelines": [{"id": "seq", "stages": stages}]}))
    assert project.run("seq").code == 1
    assert [stage["status"] for stage in project.stages().values()] == ["succeeded", "failed", "skipped"]


def test_numbers_a_stage_reports_end_in_manifest_and_entry(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "echo '{\"size\": 12.5}' > m.json", "metrics": "m.json"})
    project.run()
    assert (project.manifest()["metrics"], project.entries()[0]["metrics"]) == ({"size": 12.5}, {"size": 12.5})


def test_test_results_end_in_manifest_and_entry(project: Project) -> None:
    report = "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
    project.define("demo", {"id": "one", "shell": f'echo "{report}" > r.xml', "results": ["r.xml"]})
    project.run()
    counts = [
        {key: place["tests"][key] for key in ("passed", "failed")}
        for place in (project.manifest(), project.entries()[0])
    ]
    assert counts == [{"passed": 1, "failed": 1}] * 2


def test_a_stage_with_the_same_inputs_is_answered_from_the_cache(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    project.define("demo", {"id": "one", "shell": "echo x >> ran", "inputs": ["in.txt"]})
    project.run()
    project.run()
    assert ((project.root / "ran").read_text(), project.stages()["one"]["cached"]) == ("x\n", True)


def test_the_cache_is_asked_when_every_program_started_is_known(project: Project) -> None:
    """It runs git, and what git leaves behind must not be taken for the program that a helper is about to start."""
    project.repo.commit(files={"in.txt": "x"})
    both = ({"id": name, "run": ["true"], "inputs": ["in.txt"]} for name in ("one", "two"))
    project.define("demo", *both, **{"max-parallel": 2})
    script = (
        "from orchgate import cli\n"
        "from orchgate.runner.loop import Loop\n"
        "from orchgate.runner.stage_cache import StageCache\n"
        "loops, pending, enter, hit = [], [], Loop.__enter__, StageCache.hit\n"
        "Loop.__enter__ = lambda self: loops.append(self) or enter(self)\n"
        "StageCache.hit = lambda self, *a: pending.append(any(loop._starting for loop in loops)) or hit(self, *a)\n"
        f"code = cli.main(['run', 'demo', '--task', '{TASK}'])\n"
        "print(code, pending)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=project.root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 [False, False]", done.stdout + done.stderr


def test_a_cached_stage_names_the_run_that_did_it(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    project.define("demo", {"id": "one", "run": ["true"], "inputs": ["in.txt"]})
    project.run()
    project.run()
    assert project.stages()["one"]["cached_from"] == project.folders()[0].name


def test_a_stage_that_could_be_cached_says_why_it_ran(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    project.define("demo", {"id": "one", "run": ["true"], "inputs": ["in.txt"]})
    project.run()
    (entry,) = (path for path in (project.root / ".runs" / ".cache").rglob("*") if path.is_file())
    entry.write_bytes(b"{ torn")
    project.run()

    detail = project.stages()["one"]["status_detail"]
    assert detail.startswith("not from the cache: its cache entry cannot be used"), detail


def test_no_cache_runs_everything(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    project.define("demo", {"id": "one", "shell": "echo x >> ran", "inputs": ["in.txt"]})
    project.run()
    project.run("demo", "--no-cache")
    assert (project.root / "ran").read_text() == "x\nx\n"


def test_the_tree_that_was_run_is_recorded(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    head, tree = (project.repo.git("rev-parse", name) for name in ("HEAD", "HEAD^{tree}"))
    clean = {"dirty": False, "branch": "main", "changed": {}, "untracked": {}}
    assert project.manifest()["git"] == {"commit": head, "tree": tree, **clean}


def test_what_no_commit_holds_is_recorded_with_it(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.repo.commit(files={"gone.py": "x\n", "kept.py": "x\n"})
    (project.root / "gone.py").unlink()
    project.repo.write("kept.py", "y\n")
    project.repo.write("new.py", "z\n")
    project.run()
    git = project.manifest()["git"]
    blobs = [f"100644 {project.repo.git('hash-object', name)}" for name in ("kept.py", "new.py")]
    assert (git["changed"], git["untracked"]["new.py"]) == ({"gone.py": None, "kept.py": blobs[0]}, blobs[1])


def test_tracked_files_that_differ_make_it_dirty(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.repo.write("orchgate.toml", (project.root / "orchgate.toml").read_text() + "# changed\n")
    project.run()
    assert project.manifest()["git"]["dirty"] is True


def test_a_run_outside_of_a_repository_has_no_tree(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "orchgate.toml").write_text('[[pipelines.demo.stages]]\nid = "a"\nrun = ["true"]\n')
    result = project.repo.orchgate("run", "demo", "--task", TASK, cwd=folder)
    made = manifest(next((folder / ".runs" / TASK / "cli").iterdir()))
    assert (result.code, made["git"]) == (0, None)


def test_usage_is_measured(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": f"{sys.executable} -c 'sum(range(3000000)); bytearray(60_000_000)'"})
    project.run()
    usage = project.stages()["one"]["usage"]
    assert usage["user_seconds"] > 0.02
    assert usage["max_rss_bytes"] > 60_000_000


def test_bytes_written_to_storage_are_counted_with_those_of_grandchildren(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "sh -c 'head -c 3000000 /dev/zero > made'; true"})
    project.run()
    assert project.stages()["one"]["usage"]["written_bytes"] >= 3_000_000


def test_processes_are_not_counted_unless_measured(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    assert project.stages()["one"]["usage"]["processes"] is None


def test_a_measured_run_counts_processes_of_each_stage(project: Project) -> None:
    project.define(
        "demo",
        {"id": "one", "shell": "/bin/true; /bin/true; (/bin/true)"},
        {"id": "two", "shell": "setsid sh -c '/bin/true & /bin/true'; /bin/true"},
    )
    project.run("demo", "--measure")
    counted = {name: stage["usage"]["processes"] for name, stage in project.stages().items()}
    assert counted in ({"one": 4, "two": 5}, {"one": None, "two": None})  # the kernel may refuse to count


def test_a_measured_run_does_one_thing_at_a_time(project: Project) -> None:
    shell = "mkdir busy && sleep 0.05 && rmdir busy"
    project.define("demo", *({"id": f"s{n}", "shell": shell} for n in range(4)))
    assert project.run("demo", "--measure").code == 0


def test_a_measured_run_takes_nothing_from_the_cache(project: Project) -> None:
    project.repo.commit("input", {"in.txt": "1\n"})
    project.define("demo", {"id": "one", "run": ["true"], "inputs": ["in.txt"]})
    project.run()
    project.run("demo", "--measure")
    assert project.stages()["one"]["cached"] is False


def test_a_run_writes_two_manifests_and_few_files(project: Project) -> None:
    project.define("demo", *({"id": f"s{n}", "run": ["true"]} for n in range(5)))
    project.run()
    writes = project.manifest()["writes"]
    files = [path for path in (project.root / ".runs").rglob("*") if path.is_file()]
    assert (writes["manifest_writes"], writes["files"], len(files)) == (2, 8, 8)


def test_the_runner_counts_its_own_bytes_exactly(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    folder = project.folders()[0]
    first = len(_first_manifest(folder.joinpath("events.jsonl").read_text().splitlines()[0]))
    sizes = [(folder / name).stat().st_size for name in ("events.jsonl", "manifest.json")]
    entry = (project.root / ".runs" / TASK / "metrics.json").stat().st_size
    assert project.manifest()["writes"]["bytes"] == first + sum(sizes) + entry


def _first_manifest(line: str) -> bytes:
    from orchgate.runs import state

    return state.render(state.manifest([json.loads(line)]))


def test_the_manifest_is_derived_from_the_journal_alone(project: Project) -> None:
    from orchgate.runs.state import manifest as derived

    project.define(
        "demo", {"id": "one", "run": ["false"], "retries": 1}, {"id": "two", "run": ["true"], "needs": ["one"]}
    )
    project.run()
    assert derived(events(project.folders()[0])) == project.manifest()


def test_small_runs_are_recorded_in_little_space(project: Project) -> None:
    project.define("demo", *({"id": f"stage-{n}", "run": ["true"]} for n in range(5)))
    project.run()
    entry = (project.root / ".runs" / TASK / "metrics.json").stat().st_size
    assert (project.folders()[0].joinpath("manifest.json").stat().st_size <= 8192, entry <= 2048) == (True, True)


def test_what_a_run_writes_passes_the_manifests_check(project: Project) -> None:
    project.define("inner", {"id": "one", "run": ["true"]})
    project.define(
        "demo",
        {"id": "flaky", "shell": "test -e mark || { touch mark; exit 1; }", "retries": 1},
        {"id": "call", "pipeline": "inner"},
        {"id": "slow", "run": ["sleep", "9"], "timeout-seconds": 0.1, "allow-failure": True},
        {"id": "gone", "run": ["no-such-program-here"], "allow-failure": True},
        {"id": "bad", "run": ["false"]},
        {"id": "never", "run": ["true"], "needs": ["bad"]},
    )
    project.run()
    checked = project.repo.orchgate("check", "manifests", "--all-files")
    assert (checked.code, "2 manifests" in checked.out) == (0, True), checked.out


def test_the_run_s_result_can_be_had_as_json(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    document = json.loads(project.run("demo", "--output-format", "json").out)
    assert [run["status"] for run in document["runs"]] == ["succeeded"]


def test_repeating_gives_pass_rates(project: Project) -> None:
    coin = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; test $((n % 2)) = 0"
    project.define("demo", {"id": "coin", "shell": coin}, {"id": "sure", "run": ["true"]})
    document = json.loads(project.run("demo", "--runs", "4", "--output-format", "json").out)
    rates = {row["id"]: (row["passed"], row["runs"], row["rate"]) for row in document["pass_rates"]}
    assert rates == {"coin": (2, 4, 0.5), "sure": (4, 4, 1.0)}


def test_repeating_a_failing_pipeline_exits_1_and_shows_a_table(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["false"]})
    result = project.run("demo", "--runs", "2")
    assert (result.code, "0/2    0.0%" in result.out) == (1, True)


def test_the_lines_without_a_terminal_are_stable(project: Project) -> None:
    project.define(
        "demo", {"id": "one", "shell": "echo wrong; exit 2"}, {"id": "two", "run": ["true"], "needs": ["one"]}
    )
    run = project.folders
    out = project.run().out.replace(str(run()[0].name), "RUN")
    assert out.splitlines() == [
        f"run RUN: demo for {TASK}",
        "one: started",
        "one: failed (exit 2; 0.0 s)",
        "  last line: wrong",
        f"  log: .runs/{TASK}/cli/RUN/stages/01-one.log",
        "two: skipped (needs one)",
        "run RUN failed (stage:one:failed): 1 failed, 1 skipped",
        f"manifest: .runs/{TASK}/cli/RUN/manifest.json",
    ]


@pytest.mark.parametrize(
    "task", ["a/b", "..", ".", "", " ", "a\nb", "a\x1bb", "../x", "-x", "a\\b", "x" * 300, ".hidden"]
)
def test_a_task_id_that_is_no_folder_s_name_is_a_usage_error(project: Project, task: str) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    result = project.repo.orchgate("run", "demo", f"--task={task}")
    assert (result.code, (project.root / ".runs").exists()) == (2, False)


def test_a_task_that_is_a_link_out_of_the_runs_is_refused(project: Project, tmp_path: Path) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    (tmp_path / "elsewhere").mkdir()
    (project.root / ".runs").mkdir()
    (project.root / ".runs" / TASK).symlink_to(tmp_path / "elsewhere")
    assert (project.run().code, list((tmp_path / "elsewhere").iterdir())) == (3, [])


def test_a_terminal_shows_a_live_tree(project: Project) -> None:
    project.define(
        "demo",
        {"id": "one", "shell": "echo working; until test -e go; do sleep 0.01; done; echo done"},
        {"id": "two", "run": ["false"]},
    )
    shown = bytearray()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.root)
        os.execve(
            ORCHGATE, [ORCHGATE, "run", "demo", "--task", TASK], {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        )
    with contextlib.suppress(OSError):  # that is how a terminal says that nobody is left
        while data := os.read(terminal, 4096):
            shown.extend(data)
            if b"working" in shown:
                (project.root / "go").touch()
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    text = shown.decode()
    assert ("working" in text, "\u2713 one" in text, "\u2717 two" in text, "manifest: .runs" in text) == (True,) * 4


@pytest.mark.parametrize("module", ["msgspec", "jsonschema", "jsonschema_rs", "git", "rich", "unidiff"])
def test_a_run_imports_nothing_heavy(project: Project, module: str) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    told = project.run(env={"PYTHONPROFILEIMPORTTIME": "1"}).out
    assert "orchgate.runner.pipeline_run" in told
    assert not [line for line in told.splitlines() if line.rpartition("|")[2].strip() == module]


def test_an_unknown_pipeline_is_a_usage_error_that_names_the_nearest(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    result = project.run("dmeo")
    assert (result.code, "did you mean demo?" in result.out) == (2, True)


def test_two_runs_of_one_task_at_a_time_do_not_mix(project: Project) -> None:
    project.define("demo", *({"id": f"s{n}", "run": ["sleep", "0.02"]} for n in range(5)))
    children = [project.start() for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    for child in children:
        child.communicate()
    assert len(project.folders()) == 4
    assert {entry["run_id"] for entry in project.entries()} == {folder.name for folder in project.folders()}
    assert all(manifest(folder)["status"] == "succeeded" for folder in project.folders())


def test_stage_names_that_are_no_file_names_get_a_log(project: Project) -> None:
    project.define("demo", {"id": "a/../../b c", "shell": "echo hi"})
    assert (project.run().code, project.stages()["a/../../b c"]["log_path"]) == (0, "stages/01-a-..-..-b-c.log")


def test_a_reader_who_goes_away_does_not_end_the_run(project: Project) -> None:
    project.define("demo", *({"id": f"s{n}", "run": ["sleep", "0.05"]} for n in range(4)))
    child = project.start()
    assert child.stdout is not None
    child.stdout.close()
    child.wait()
    assert project.manifest()["status"] == "succeeded"


def test_a_stage_killed_by_a_signal_says_which(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "kill -SEGV $$"})
    project.run()
    assert project.stages()["one"]["attempts"][0]["signal"] == signal.SIGSEGV.name


def test_children_do_not_inherit_the_journal(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "ls -l /proc/self/fd"})
    project.run()
    assert b"events.jsonl" not in project.log("one")


def test_a_stage_may_not_ask_at_the_terminal(project: Project) -> None:
    project.define("demo", {"id": "one", "shell": "! cat < /dev/tty"})
    assert project.run().code == 0


def test_recorded_files_are_readable_by_others(project: Project) -> None:
    project.define("demo", {"id": "one", "run": ["true"]})
    project.run()
    modes = {
        stat.S_IMODE(os.stat(project.folders()[0] / name).st_mode) & 0o077 for name in ("manifest.json", "events.jsonl")
    }
    assert modes == {0o044}
