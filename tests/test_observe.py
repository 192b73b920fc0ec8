"""`orchgate observe`: programs that know nothing of us, and what is recorded of them."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from orchgate.lib import files
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import PATIENCE, events, living, manifest, stop, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo, Result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="file events are counted on Linux only"),
]

# A foreign orchestrator: a run folder of its own, and a manifest that is written again at every step.
LOOP = """
import os, time
os.makedirs(".runs/0042-foreign/cli/r1")
time.sleep(0.2)
for step in range(25):
    with open(".runs/0042-foreign/cli/r1/manifest.json", "w") as file:
        file.write(str(step))
for step in range(5):
    with open(".runs/0042-foreign/cli/r1/new", "w") as file:
        file.write(str(step))
    os.rename(".runs/0042-foreign/cli/r1/new", ".runs/0042-foreign/cli/r1/manifest.json")
"""


@pytest.fixture
def repo(repo: Repo) -> Repo:
    """A repository whose git ignores runs, so that the first words are the observed program's."""
    repo.write(".git/info/exclude", ".runs/\n")
    return repo


def observe(repo: Repo, *argv: str, options: tuple[str, ...] = ()) -> Result:
    return repo.orchgate("observe", *options, "--", *argv)


def python(repo: Repo, script: str, *options: str) -> Result:
    return observe(repo, sys.executable, "-c", script, options=options)


def folder(repo: Repo, task: str = "observed") -> Path:
    """The folder of the newest run."""
    return max((repo.root / ".runs" / task / "cli").iterdir())


def recorded(repo: Repo) -> dict[str, Any]:
    return manifest(folder(repo))


def activity(repo: Repo) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder(repo) / "artifacts" / "activity.json").read_text())
    return found


def start(repo: Repo, *argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [ORCHGATE, "observe", "--", *argv],
        cwd=repo.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def test_a_foreign_orchestrators_manifest_writes_are_counted(repo: Repo) -> None:
    python(repo, LOOP)

    assert recorded(repo)["metrics"]["manifest_writes"] == 30


# What is recorded


def test_the_manifest_keeps_its_schema(repo: Repo) -> None:
    python(repo, LOOP)

    jsonschema.validate(recorded(repo), json.loads(files.read_data("schemas", "manifest-v1.json")))


def test_so_does_the_activity(repo: Repo) -> None:
    python(repo, LOOP)

    jsonschema.validate(activity(repo), json.loads(files.read_data("schemas", "activity.json")))


def test_the_json_is_the_last_line_and_keeps_its_schema(repo: Repo) -> None:
    result = python(repo, "print('own output')", "--output-format", "json")
    document = json.loads(result.out.splitlines()[-1])

    jsonschema.validate(document, closed("observe"))


def test_the_run_is_found_where_every_run_is(repo: Repo) -> None:
    python(repo, LOOP)

    assert folder(repo).name in repo.orchgate("status", "--task", "observed").out


def test_it_counts_as_a_pipeline_of_the_programs_name(repo: Repo) -> None:
    observe(repo, "true")

    assert recorded(repo)["pipeline_id"] == "true"


def test_or_of_the_name_it_is_given(repo: Repo) -> None:
    observe(repo, "true", options=("--name", "noop", "--task", "0001-demo"))

    assert manifest(folder(repo, "0001-demo"))["pipeline_id"] == "noop"


def test_its_time_is_the_programs_and_not_that_of_setting_up_the_watch(repo: Repo) -> None:
    observe(repo, "true")
    made = recorded(repo)

    assert made["usage"]["wall_seconds"] == round(made["commands"][0]["usage"]["wall_seconds"], 3)


def test_it_leaves_an_entry_with_the_metrics(repo: Repo) -> None:
    python(repo, LOOP)
    (line,) = (repo.root / ".runs" / "observed" / "metrics.json").read_text().splitlines()

    assert json.loads(line)["metrics"]["manifest_writes"] == 30


def test_what_recording_writes_is_not_the_programs(repo: Repo) -> None:
    observe(repo, "true")

    assert activity(repo)["totals"]["files"] == 0


def test_a_run_of_ours_can_be_observed_like_any_other(repo: Repo) -> None:
    repo.write("orchgate.toml", '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n')
    observe(repo, ORCHGATE, "run", "p", "--task", "0001-demo")

    assert recorded(repo)["metrics"]["manifest_writes"] == 2


def test_processor_time_of_all_processes_is_counted(repo: Repo) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    python(repo, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])")

    assert recorded(repo)["usage"]["user_seconds"] + recorded(repo)["usage"]["system_seconds"] >= 0.3


def test_memory_of_the_whole_tree_is_more_than_that_of_its_largest_process(repo: Repo) -> None:
    hog = "import os, sys, time; held = bytearray(60_000_000); open(sys.argv[1], 'w').close()\n"
    hog += "while not (os.path.exists('a') and os.path.exists('b')): time.sleep(0.01)\n"
    hog += "time.sleep(1)"  # both hold it now
    start_one = f"subprocess.Popen([sys.executable, '-c', {hog!r}, name])"
    python(repo, f"import subprocess, sys; [one.wait() for one in [{start_one} for name in 'ab']]")

    assert recorded(repo)["metrics"]["tree_max_rss_bytes"] > 1.5 * recorded(repo)["usage"]["max_rss_bytes"]


def test_bytes_that_went_through_system_calls_are_counted(repo: Repo) -> None:
    python(repo, "import os; os.write(os.open('/dev/null', os.O_WRONLY), bytes(1_000_000))")

    assert recorded(repo)["metrics"]["asked_written_bytes"] >= 1_000_000


def test_names_that_are_no_utf_8_are_recorded(repo: Repo) -> None:
    python(repo, r"import os; os.mkdir(b'out'); open(b'out/\xff', 'w').write('x')")

    assert list(activity(repo)["files"]) == ["out/\\xff"]


def test_many_files_are_listed_up_to_a_limit_and_counted_in_full(repo: Repo) -> None:
    python(repo, "import os; os.mkdir('out')\nfor n in range(10_000): open(f'out/{n}', 'w').write('x')")
    found = activity(repo)

    assert (len(found["files"]), found["totals"]["files"], found["totals"]["written"]) == (1000, 10_000, 10_000)


def test_only_the_named_folders_are_watched(repo: Repo) -> None:
    python(repo, "import os; os.mkdir('a'); os.mkdir('out'); open('a/x', 'w'); open('out/x', 'w')", "--watch", "a")

    assert list(activity(repo)["files"]) == ["a/x"]


def test_a_file_cannot_be_watched(repo: Repo) -> None:
    repo.write("a", "x")

    assert observe(repo, "true", options=("--watch", "a")).code == 2


# A folder is made, filled and removed faster than anybody can watch it, and one file is written again at once.
RACE = """
import os, shutil
for i in range(20):
    os.makedirs(f"out/{i}/run")
    for n in range(5): open(f"out/{i}/run/manifest.json", "w").close()
    shutil.rmtree(f"out/{i}")
"""
WITHOUT_FANOTIFY = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]  # the superuser's right to it


class Raced(NamedTuple):
    """A program whose folders were faster than the watch, observed."""

    said: str
    activity: dict[str, Any]
    manifest: dict[str, Any]


@pytest.fixture(scope="module", params=["as this user", "without fanotify"])
def raced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Raced:
    top = tmp_path_factory.mktemp("raced")
    before: list[str] = []
    if request.param == "without fanotify" and not os.geteuid():
        if not shutil.which("setpriv"):
            pytest.skip("there is no setpriv")
        before = WITHOUT_FANOTIFY
    (top / "out").mkdir()
    argv = [*before, ORCHGATE, "observe", "--watch", "out", "--watch", "never", "--", sys.executable, "-c", RACE]
    done = subprocess.run(argv, cwd=top, capture_output=True, text=True, check=True)
    (run,) = (top / ".runs" / "observed" / "cli").iterdir()
    return Raced(done.stderr, json.loads((run / "artifacts" / "activity.json").read_text()), manifest(run))


def test_a_count_that_may_have_missed_events_says_so(raced: Raced) -> None:
    found = raced.activity

    assert (found["lower_bound"], "file_writes" in found["lower_bound_of"], found["totals"]["written"] <= 100) == (
        True,
        True,
        True,
    )


def test_it_says_so_on_the_screen(raced: Raced) -> None:
    assert (
        f"at least {raced.activity['totals']['written']} write" in raced.said or not raced.activity["totals"]["written"]
    )


def test_it_names_the_folders_and_the_reason(raced: Raced) -> None:
    (first, *_), count = raced.activity["lower_bound_where"], raced.activity["lower_bound_folders"]

    assert (first.startswith("out"), count >= 1) == (True, True)


def test_the_run_says_which_metrics_are_lower_bounds(raced: Raced) -> None:
    usage = raced.manifest["usage"]

    assert (usage["complete"], set(usage["lower_bounds"]) >= {"file_writes", "manifest_writes"}) == (False, True)


def test_what_is_recorded_of_lower_bounds_keeps_its_schemas(raced: Raced) -> None:
    jsonschema.validate(raced.activity, json.loads(files.read_data("schemas", "activity.json")))
    jsonschema.validate(raced.manifest, json.loads(files.read_data("schemas", "manifest-v1.json")))


def test_a_watched_folder_that_is_never_there_is_said(raced: Raced) -> None:
    assert (raced.activity["absent"], "never (does not exist)" in raced.said) == (["never"], True)


def test_without_fanotify_inotify_counts_alone(raced: Raced, request: pytest.FixtureRequest) -> None:
    if "without fanotify" not in request.node.name:
        pytest.skip("about the other one")

    assert raced.activity["watched_by"] == "inotify"


def test_a_folder_that_was_there_before_is_counted_exactly(repo: Repo) -> None:
    repo.write("out/keep", "")
    result = python(repo, "for n in range(50): open('out/a', 'w').close()")

    assert ("at least" in result.out, activity(repo)["lower_bound"], recorded(repo)["metrics"]["file_writes"]) == (
        False,
        False,
        50,
    )


def test_processes_that_go_on_are_said_and_left_alone(repo: Repo) -> None:
    word = f"7{os.getpid()}.25"
    result = observe(repo, "sh", "-c", f"sleep {word} >/dev/null 2>&1 & exit 0")
    (pid,) = living(word)
    os.kill(pid, signal.SIGKILL)

    assert "1 process left behind, not counted" in result.out


# The program does not notice


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs_own(repo: Repo, code: int) -> None:
    assert observe(repo, "sh", "-c", f"exit {code}").code == code


def test_the_end_by_a_signal_is_told_as_a_shell_does(repo: Repo) -> None:
    result = observe(repo, "sh", "-c", "kill -KILL $$")

    assert (result.code, recorded(repo)["commands"][0]["status_detail"]) == (137, "ended by SIGKILL")


def test_a_program_that_fails_is_a_failed_run(repo: Repo) -> None:
    observe(repo, "false")

    assert (recorded(repo)["status"], recorded(repo)["commands"][0]["exit_code"]) == ("failed", 1)


def test_a_program_that_is_not_there_is_said(repo: Repo) -> None:
    result = observe(repo, "no-such-program")

    assert (result.code, recorded(repo)["commands"][0]["status_detail"]) == (
        127,
        "cannot run no-such-program: No such file or directory",
    )


def test_a_file_that_is_no_program_is_said(repo: Repo) -> None:
    repo.write("data", "x")

    assert observe(repo, "./data").code == 126


def test_nothing_to_observe_is_wrong_usage(repo: Repo) -> None:
    assert repo.orchgate("observe", "--").code == 2


def test_input_and_output_pass_through(repo: Repo) -> None:
    argv = [ORCHGATE, "observe", "--", "cat"]
    done = subprocess.run(argv, cwd=repo.root, input=b"one\0two", capture_output=True, check=True)

    assert done.stdout == b"one\0two"


def test_options_of_the_program_are_its_own(repo: Repo) -> None:
    assert observe(repo, "echo", "--task", "--", "x").out.splitlines()[0] == "--task -- x"


def test_the_folder_and_the_environment_are_the_callers(repo: Repo) -> None:
    repo.write("sub/keep", "")
    argv = [ORCHGATE, "observe", "--", "sh", "-c", 'echo "$PWD $CI $TERM"']
    environ = {**os.environ, "TERM": "odd", "PWD": ""}
    done = subprocess.run(argv, cwd=repo.root / "sub", env=environ, capture_output=True, check=True)

    assert done.stdout.decode().split() == [str(repo.root / "sub"), "odd"]


def on_terminal(repo: Repo, *argv: str) -> tuple[int, int]:
    """Observes a program on a terminal of its own."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(repo.root)
        os.execv(ORCHGATE, ["orchgate", "observe", "--", *argv])
    return pid, terminal


def expect(terminal: int, text: bytes) -> None:
    said, end = b"", time.monotonic() + PATIENCE
    while text not in said:
        assert select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0], said
        said += os.read(terminal, 4096)


# Asks, and takes Ctrl-C for another question. (Python's own prompt misses one now and then, observed or not.)
PROMPT = """
import sys
while True:
    try:
        print("?", flush=True)
        print(sys.stdin.isatty(), eval(sys.stdin.readline()), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interactive_program_keeps_the_terminal_and_survives_an_interrupt(repo: Repo) -> None:
    pid, terminal = on_terminal(repo, sys.executable, "-c", PROMPT)
    expect(terminal, b"?")
    os.write(terminal, b"\x03")
    expect(terminal, b"interrupted")
    os.write(terminal, b"6 * 7\n")
    expect(terminal, b"True 42")
    os.write(terminal, b"exit(0)\n")
    expect(terminal, b"succeeded")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)

    assert code == 0


def test_an_interrupt_from_the_terminal_ends_both_and_is_recorded_as_cancelled(repo: Repo) -> None:
    pid, terminal = on_terminal(repo, "sh", "-c", "echo ready; exec sleep 1000")
    expect(terminal, b"ready")
    os.write(terminal, b"\x03")
    expect(terminal, b"cancelled")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)

    assert (code, recorded(repo)["status"], recorded(repo)["status_detail"]) == (130, "cancelled", "signal:SIGINT")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(repo: Repo, number: signal.Signals) -> None:
    child = start(repo, "sh", "-c", "echo ready; exec sleep 1000")
    assert child.stdout is not None
    child.stdout.readline()
    result = stop(child, number)

    assert (result.code, recorded(repo)["status"]) == (128 + number, "cancelled")


def test_a_program_that_answers_a_signal_well_has_succeeded(repo: Repo) -> None:
    child = start(repo, "sh", "-c", "trap 'exit 0' USR1; echo ready; while :; do sleep 0.05; done")
    assert child.stdout is not None
    child.stdout.readline()
    stop(child, signal.SIGUSR1)

    assert recorded(repo)["status"] == "succeeded"


def killed(repo: Repo) -> str:
    """Kills an observer for good; a word of the observed program's."""
    word = f"8{os.getpid()}.25"
    child = start(repo, "sh", "-c", f"echo ready; sleep {word}; :")
    assert child.stdout is not None
    child.stdout.readline()
    stop(child, signal.SIGKILL)
    return word


def test_when_the_observer_is_killed_so_is_the_program(repo: Repo) -> None:
    word = killed(repo)

    until(lambda: not living(word))


def test_a_killed_observation_is_seen_as_abandoned(repo: Repo) -> None:
    killed(repo)

    assert "abandoned" in repo.orchgate("status").out


def test_it_cannot_be_taken_up_and_that_is_said(repo: Repo) -> None:
    killed(repo)
    result = repo.orchgate("resume", "latest")

    assert (result.code, "observed from outside" in result.out) == (3, True)


def test_a_folder_without_a_repository_will_do(tmp_path: Path) -> None:
    done = subprocess.run([ORCHGATE, "observe", "--", "true"], cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, len(list(tmp_path.glob(".runs/observed/cli/*/manifest.json")))) == (0, 1)


def test_what_cannot_be_recorded_is_no_success(repo: Repo) -> None:
    repo.write(".runs", "a file where the folder belongs")

    assert observe(repo, "true").code == 3


def test_the_command_is_recorded_as_it_can_be_typed_again(repo: Repo) -> None:
    observe(repo, "sh", "-c", "echo 'a b'")

    assert shlex.split(recorded(repo)["commands"][0]["command"]) == ["sh", "-c", "echo 'a b'"]


def test_the_journal_is_one_of_a_whole_run(repo: Repo) -> None:
    observe(repo, "true")

    assert [event["event"] for event in events(folder(repo))] == ["run", "start", "end", "finish"]
