"""What memory is recorded of programs, and that those that are started by way of another one do not notice."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.runner import start_and_reap
from orchgate.runs import usage
from tests.runs import TASK, Project, manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program's memory from its parent's")

MIB = 1024 * 1024
HELD = 60 * MIB  # by the runner itself
SMALL = "import sys, os; sys.stdout.write(open('/proc/self/stat').read())"
SAYS = "held = bytearray(b'x') * 50_000_000; print(next(one for one in open('/proc/self/status') if 'VmHWM' in one))"
# Four of 30 MB that all hold it at the same time, for longer than it takes to look at them a few times.
FOUR = (
    "import os, time\n"
    "for _ in range(4):\n"
    "    if not os.fork():\n"
    "        held = bytearray(b'x') * 30_000_000; time.sleep(0.6); os._exit(0)\n"
    "for _ in range(4): os.wait()\n"
)
ODD = {"a.b": "1", "npm_config_@x:y": "2", "OLDPWD": "/nowhere"}
# A program of 40 MB leaves its session and its parent.
DAEMON = (
    "import os, time\n"
    "if os.fork(): time.sleep(0.6); os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "held = bytearray(b'x') * 40_000_000; time.sleep(0.5)\n"
)
RUNNER = """
import json, os, sys
from orchgate.runner.child import Program
from orchgate.runner.session import Session, RunSettings, Silent

held = bytearray(b"x") * int(sys.argv[2])
folder, adopts = sys.argv[1], sys.argv[3] == "adopts"
setting = RunSettings(folder, "", {}, {}, None, None, None, Silent(), cache=False, measured=True)
told = {"runner": os.getpid(), "names": list(os.environ)}
with Session(setting) as session:
    session.guard(os.open(os.devnull, os.O_RDONLY))
    session.loop.adopts = adopts
    for number, group in enumerate(json.load(sys.stdin)):
        ended, names = {}, list(group)
        for name in names:
            argv, environ, cwd = group[name]
            log = f"{folder}/{name}.log"
            program = Program(argv, cwd or folder, {**os.environ, **environ}, log, session.mark(), 30.0)
            session.loop.start(program, lambda result, name=name: ended.__setitem__(name, result))
        while len(ended) < len(names):
            session.step()
        for name, result in ended.items():
            said = open(f"{folder}/{name}.log", errors="replace").read() if not result.refused else ""
            kept = {"code": result.code, "signal": result.signal, "refused": result.refused, "said": said}
            told[name] = {**kept, "usage": result.usage}
print(json.dumps(told))
"""

# Grows when the floor may have been looked at already, as whoever loads a module to start a program does.
OBSERVER = """
import sys
from orchgate import cli
from orchgate.lib import process

attach, held = process.attach, []

def growing(argv, *, env):
    held.append(bytearray(b"x") * 60_000_000)
    return attach(argv, env=env)

process.attach = growing
sys.exit(cli.main(sys.argv[1:]))
"""

Case = tuple[list[str], dict[str, str], str]


def run(folder: Path, *groups: Mapping[str, Case], adopts: bool = True, held: int = HELD) -> dict[str, Any]:
    """What a runner that holds memory tells of programs; those of a group run at the same time."""
    how = "adopts" if adopts else "directly"
    argv = [sys.executable, "-c", RUNNER, str(folder), str(held), how]
    done = subprocess.run(argv, input=json.dumps(groups).encode(), stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def python(script: str, **environ: str) -> Case:
    return [sys.executable, "-I", "-S", "-c", script], environ, ""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("runner")
    script = folder / "script"
    script.write_text('#!/bin/sh\necho "$0 $*"\n')
    script.chmod(0o755)
    return run(
        folder,
        {"true": (["true"], {}, "")},
        {"absolute": (["/bin/true"], {}, "")},
        {"script": (["./script", "-x", "--", "a b"], {}, "")},
        {"dash": (["sh", "-c", "exit 7"], {}, "")},
        {"killed": (["sh", "-c", "kill -9 $$"], {}, "")},
        {"stat": python(SMALL)},
        {"environ": (["env", "-0"], ODD, "")},
        {"name": (["sh", "-c", "cat /proc/$$/cmdline; cat"], {}, "/")},
        {"says": python(SAYS)},
        {"four": python(FOUR)},
        {"daemon": python(DAEMON)},
        {"large": python(FOUR), "little": (["sleep", "0.7"], {}, "")},
        {"again": (["true"], {}, "")},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["true", "absolute", "again"])
def test_a_small_program_is_small_whatever_the_runner_holds(told: dict[str, Any], name: str) -> None:
    assert MIB <= told[name]["usage"]["max_rss_bytes"] < 4 * MIB


@pytest.mark.slow
def test_a_program_s_peak_is_what_it_says_of_itself(told: dict[str, Any]) -> None:
    said = int(told["says"]["said"].split()[1]) * 1024

    assert told["says"]["usage"]["max_rss_bytes"] == pytest.approx(said, rel=0.05)


@pytest.mark.slow
def test_the_peak_of_all_processes_is_that_of_all_at_once(told: dict[str, Any]) -> None:
    spent = told["four"]["usage"]

    assert spent["tree_rss_bytes"] >= 4 * 28_000_000
    assert 30_000_000 < spent["max_rss_bytes"] < 2 * 30_000_000


@pytest.mark.slow
def test_a_daemon_s_memory_counts_for_its_stage(told: dict[str, Any]) -> None:
    assert told["daemon"]["usage"]["tree_rss_bytes"] >= 40_000_000


@pytest.mark.slow
def test_stages_at_once_have_each_their_own(told: dict[str, Any]) -> None:
    assert told["large"]["usage"]["tree_rss_bytes"] >= 4 * 28_000_000
    assert told["little"]["usage"]["tree_rss_bytes"] < 20_000_000


@pytest.mark.slow
def test_a_program_leads_its_session_and_is_the_runner_s_child(told: dict[str, Any]) -> None:
    pid, _, rest = told["stat"]["said"].partition(" ")
    parent, group, session = rest.rpartition(")")[2].split()[1:4]

    assert (int(parent), group, session) == (told["runner"], pid, pid)


@pytest.mark.slow
def test_the_environment_is_the_stage_s_to_the_letter(told: dict[str, Any]) -> None:
    names = {line.partition("=")[0] for line in told["environ"]["said"].rstrip("\0").split("\0")}

    assert names == {*told["names"], *ODD, "ORCHGATE_PROCESS"}


@pytest.mark.slow
def test_a_program_is_called_as_it_was_asked_for(told: dict[str, Any]) -> None:
    assert told["name"]["said"].split("\0")[0] == "sh"
    assert told["script"]["said"] == "./script -x -- a b\n"


@pytest.mark.slow
def test_how_a_program_ended_is_its_own(told: dict[str, Any]) -> None:
    assert (told["dash"]["code"], told["killed"]["code"], told["killed"]["signal"]) == (7, None, "SIGKILL")


@pytest.mark.slow
def test_who_started_a_program_is_not_counted_among_its_processes(told: dict[str, Any]) -> None:
    counted = told["true"]["usage"]["processes"], told["four"]["usage"]["processes"]

    assert counted in {(1, 5), (None, None)}  # where the kernel does not count for us


REFUSED: dict[str, Case] = {
    "missing": (["no-such-program-anywhere"], {}, ""),
    "folder": (["./folder"], {}, ""),
    "cwd": (["true"], {}, "/no/such/folder"),
    "unmarked": (["./unmarked"], {}, ""),
    "shebang": (["./shebang"], {}, ""),
    "nothing": (["./nothing"], {}, ""),
    "machine": (["./machine"], {}, ""),
    "loader": (["./loader"], {}, ""),
    "long": (["true", "x" * 200_000], {}, ""),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told of programs that cannot be started, by way of another one and directly."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "folder").mkdir()
    own = bytearray((folder / "/bin/sh").read_bytes()[:4096])
    foreign = bytes(own[:18]) + b"\xfe\xfe" + bytes(own[20:])
    elsewhere = bytes(own).replace(b"/lib", b"/bil", 1)
    contents = {"shebang": b"#!/no/such/interpreter\n", "nothing": b"echo nothing\n", "machine": foreign}
    for name, content in {**contents, "loader": elsewhere, "unmarked": b"#!/bin/sh\n"}.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644 if name == "unmarked" else 0o755)
    groups = [{name: case} for name, case in REFUSED.items()]
    return run(folder, *groups, held=0), run(folder, *groups, held=0, adopts=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_started_is_refused_with_the_system_s_reason(
    refused: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    ours, directly = refused

    assert (bool(ours[name]["refused"]), ours[name]["refused"]) == (True, directly[name]["refused"])


@pytest.mark.slow
def test_where_a_program_begins_as_the_runner_only_more_than_the_runner_is_known(tmp_path: Path) -> None:
    groups: tuple[Mapping[str, Case], ...] = (
        {"true": (["true"], {}, "")},
        {"says": python(SAYS.replace("50_000_000", "120_000_000"))},
    )
    told = run(tmp_path, *groups, adopts=False)

    assert told["true"]["usage"]["max_rss_bytes"] is None
    assert told["says"]["usage"]["max_rss_bytes"] > 120_000_000


@pytest.mark.slow
def test_an_observed_program_is_not_taken_for_as_large_as_its_observer(repo: Repo) -> None:
    subprocess.run([sys.executable, "-c", OBSERVER, "observe", "--", "true"], cwd=repo.root, check=True)

    assert manifest(next((repo.root / ".runs" / "observed" / "cli").iterdir()))["usage"]["max_rss_bytes"] is None


@pytest.mark.slow
def test_what_starts_an_observed_program_is_loaded_before_its_time_begins(repo: Repo) -> None:
    forget = """
from orchgate.observe import observe

run = observe.run_in_foreground

def without(*arguments):
    sys.modules.pop("subprocess", None)
    return run(*arguments)

observe.run_in_foreground = without
sys.exit"""
    script = OBSERVER.replace('bytearray(b"x") * 60_000_000', 'sys.modules["subprocess"]').replace("sys.exit", forget)

    subprocess.run([sys.executable, "-c", script, "observe", "--", "true"], cwd=repo.root, check=True)


@pytest.mark.slow
def test_of_several_parts_the_largest_peaks_count() -> None:
    times = dict.fromkeys(("wall_seconds", "user_seconds", "system_seconds"), 1.0)
    sums = dict.fromkeys(("read_bytes", "written_bytes", "processes"))
    one = {**times, **sums, "max_rss_bytes": 5, "tree_rss_bytes": None}
    both = usage.add(one, {**one, "max_rss_bytes": 7, "tree_rss_bytes": 9})

    assert (both["max_rss_bytes"], both["tree_rss_bytes"]) == (7, 9)


@pytest.mark.slow
@pytest.mark.parametrize(("largest", "sampled", "all_at_once"), [(7, 5, 7), (7, 9, 9), (None, 9, 9), (7, None, None)])
def test_all_at_once_is_never_less_than_the_largest(
    largest: int | None, sampled: int | None, all_at_once: int | None
) -> None:
    cost = {"max_rss_bytes": largest, "tree_rss_bytes": None}

    assert usage.with_tree(cost, sampled)["tree_rss_bytes"] == all_at_once


@pytest.mark.slow
def test_what_an_older_version_recorded_adds_up_to_what_it_did() -> None:
    old: dict[str, Any] = dict.fromkeys(("wall_seconds", "user_seconds", "system_seconds"), 1.0)
    old |= {"max_rss_bytes": 5, **dict.fromkeys(("read_bytes", "written_bytes", "processes"))}

    assert "tree_rss_bytes" not in usage.add(old, old)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the memory of a runner is before and after many runs, and what was recorded of the first and the last."""
    folder = tmp_path_factory.mktemp("repeated")
    (folder / "orchgate.toml").write_text('[[pipelines.demo.stages]]\nid = "a"\nrun = ["true"]\n')
    script = (
        "import os, sys\n"
        "from orchgate import cli\n"
        "from orchgate.runner import pipeline_run, process_tree\n"
        "held, run = [], pipeline_run.run\n"
        "def counted(*args):\n"
        "    held.append(process_tree.resident(os.getpid()))\n"
        "    return run(*args)\n"
        "pipeline_run.run = counted\n"
        f"cli.main(['run', 'demo', '--task', '{TASK}', '--runs', '40'])\n"
        "print(held[20], held[39])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, check=True)
    early, late = map(int, done.stdout.split()[-2:])
    runs = [manifest(one) for one in sorted((folder / ".runs" / TASK / "cli").iterdir())]
    return {"grown": late - early, "peaks": [one["usage"]["max_rss_bytes"] for one in runs]}


@pytest.mark.slow
def test_many_runs_take_no_more_memory_than_a_few(repeated: dict[str, Any]) -> None:
    assert repeated["grown"] < MIB


@pytest.mark.slow
def test_the_last_repetition_records_what_the_first_does(repeated: dict[str, Any]) -> None:
    assert max(repeated["peaks"]) <= 1.2 * min(repeated["peaks"])


@pytest.mark.slow
def test_peaks_are_in_manifest_metrics_and_entry(repo: Repo) -> None:
    project = Project(repo)
    project.define("demo", {"id": "one", "run": [sys.executable, "-c", FOUR]})
    project.run()
    told = json.loads(project.repo.orchgate("metrics", "--task", TASK, "--output-format", "json").out)
    tree = project.manifest()["usage"]["tree_rss_bytes"]

    assert tree > 100_000_000
    assert project.entries()[0]["tree_rss_bytes"] == tree
    assert told["tasks"][0]["pipelines"][0]["costs"]["tree_rss_bytes"]["max"] == tree


@pytest.mark.slow
def test_a_program_of_this_machine_is_surely_started() -> None:
    assert start_and_reap.loadable("sh", {"PATH": "/usr/bin:/bin"}, "/", "/bin/sh")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", ":/nowhere", "/nowhere"])
def test_a_program_is_looked_for_where_its_own_path_leads(tmp_path: Path, path: str) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert start_and_reap.loadable("mine", {"PATH": path}, str(tmp_path), "/bin/sh") is (path != "/nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "factor"), [("linux", 1024), ("darwin", 1)])
def test_macos_says_bytes_where_others_say_kibibytes(platform: str, factor: int) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)

    assert usage.peak_bytes(spent, platform) == spent.ru_maxrss * factor
