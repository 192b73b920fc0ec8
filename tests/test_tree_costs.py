"""What a stage costs is what all its processes cost, wherever they have gone."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.runner import meter, process_tree, start_and_reap
from orchgate.runner.start_and_reap import Costs, Metered
from orchgate.runs import usage
from tests.repo import ORCHGATE, init
from tests.runs import TASK, Project, manifest
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

# Takes processor time until it has taken so many seconds, writes how many, and says so at the other end of a pipe.
BURN = """\
import os, sys, threading, time
name, seconds, *how = sys.argv[1:]
def burn():
    while time.process_time() < float(seconds): pass
def tell():
    with open(name + '.part', 'w') as file: file.write(str(time.process_time()))
    os.rename(name + '.part', name + '.true')
if 'closed' in how: os.closerange(0, 256)
if 'threads' in how:
    threads = [threading.Thread(target=burn) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
burn()
tell()
open(name + '.over', 'w').close()
while 'on' in how:
    burn()
    tell()
    seconds = float(seconds) + 0.01
"""
# Becomes a daemon as the books say, then runs a program.
DAEMON = """\
import os, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir('/')
os.execv(sys.argv[1], sys.argv[1:])
"""
# Does not want to know how its child ends, only when.
CARELESS = """\
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if not os.fork(): os.execv(sys.argv[2], sys.argv[2:])
try: os.wait()
except ChildProcessError: open(sys.argv[1], 'w').close()
"""

PYTHON = f"{sys.executable} -I -S"
SECONDS = 0.15
# {burn} takes processor time, {over} waits until it has. {lost} does so below a careless parent, {gone} waits for that.
WAYS = {
    "plain": "{burn}",
    "exec": "exec {burn}",
    "session": "setsid {burn} & {over}",
    "orphan": "(setsid {burn} &) ; {over}",
    "twice": "setsid sh -c 'setsid {burn} &' ; {over}",
    "hangup": "nohup {burn} > /dev/null 2>&1 & {over}",
    "unmarked": "(env -i setsid {burn} > /dev/null 2>&1 < /dev/null &) ; {over}",
    "daemon": "env -i {python} daemon.py {burn} closed ; {over}",
    "timed": "timeout 100 sh -c 'setsid {burn} & {over}'",
    "threads": "(setsid {burn} threads &) ; {over}",
    "several": "echo {burn} | xargs -n 9 -P 2 setsid -f ; {over}",
    "cut": "(setsid {burn} on &) ; {over}",
    "hidden": "(env -i setsid {burn} on > /dev/null 2>&1 < /dev/null &) ; {over}",
}


def filled(root: Path, name: str, way: str, seconds: float = SECONDS) -> str:
    """The shell line of a stage, with what it needs."""
    for file, content in {"burn.py": BURN, "daemon.py": DAEMON, "careless.py": CARELESS}.items():
        (root / file).write_text(content)
    for end in ("over", "gone"):
        if f"{{{end}}}" in way:
            os.mkfifo(root / f"{name}.{end}")
    burn = f"{PYTHON} {root}/burn.py {root}/{name} {seconds}"
    lost = f"{PYTHON} {root}/careless.py {root}/{name}.gone {burn}"
    over, gone = (f"read x < {name}.{end} || :" for end in ("over", "gone"))
    return way.format(burn=burn, lost=lost, over=over, gone=gone, python=PYTHON)


class Burnt(NamedTuple):
    """Processor seconds that were recorded, and that its processes said they took."""

    recorded: float
    true: float
    usage: Mapping[str, Any]


def burnt(project: Project, pipeline: str = "demo") -> dict[str, Burnt]:
    """Of the stages of the newest run of a pipeline."""
    recorded = [manifest(folder) for folder in project.folders()]
    newest = [one for one in recorded if one["pipeline_id"] == pipeline][-1]
    found = {}
    for stage in newest["commands"]:
        true = project.root / f"{stage['id']}.true"
        if stage["usage"] and true.exists():
            spent = usage.cpu_seconds(stage["usage"])
            found[stage["id"]] = Burnt(spent, float(true.read_text()), stage["usage"])
    return found


def project_in(root: Path) -> Project:
    made = init(root)
    made.write(".git/info/exclude", ".runs/\n")
    return Project(made)


def run_all(root: Path, ways: Mapping[str, str], seconds: Mapping[str, float], *options: str) -> Project:
    project = project_in(root)
    stages = [
        {"id": name, "shell": filled(project.root, name, way, seconds.get(name, SECONDS))} for name, way in ways.items()
    ]
    project.define("demo", *stages, **{"max-parallel": 4})
    result = project.run("demo", *options)
    assert result.code == 0, result.out
    return project


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Burnt]:
    return burnt(run_all(tmp_path_factory.mktemp("ways") / "repo", WAYS, {}))


@pytest.mark.parametrize("way", WAYS)
def test_what_a_process_takes_is_its_stage_s_wherever_it_went(ways: dict[str, Burnt], way: str) -> None:
    assert ways[way].recorded >= 0.95 * ways[way].true


@pytest.mark.parametrize("way", WAYS)
def test_and_then_nothing_is_a_lower_bound(ways: dict[str, Burnt], way: str) -> None:
    assert (ways[way].usage["complete"], ways[way].usage.get("lower_bounds")) == (True, None)


def test_each_of_four_stages_at_once_gets_what_its_own_daemon_took(tmp_path: Path) -> None:
    seconds = {"one": 0.1, "two": 0.3, "three": 0.5, "four": 0.7}
    way = "(env -i setsid {burn} > /dev/null 2>&1 < /dev/null &) ; {over}"
    found = burnt(run_all(tmp_path / "repo", dict.fromkeys(seconds, way), seconds))

    # What starts a daemon takes time too, but not what separates one from the next.
    assert {name: 0.95 * one.true <= one.recorded <= one.true + 0.15 for name, one in found.items()} == dict.fromkeys(
        seconds, True
    )


def test_a_daemon_without_environment_ends_with_its_stage_though_others_run(tmp_path: Path) -> None:
    project = project_in(tmp_path / "repo")
    os.mkfifo(project.root / "over")
    project.define(
        "demo",
        {"id": "leaves", "shell": "(env -i setsid sleep 271.81 > /dev/null 2>&1 < /dev/null &) ; true"},
        {"id": "looks", "shell": "! grep -sqa '271.8[1]' /proc/[0-9]*/cmdline; echo $? > over", "needs": ["leaves"]},
        {"id": "stays", "shell": "read found < over; exit $found"},
    )
    project.run()
    assert {name: stage["status"] for name, stage in project.stages().items()} == dict.fromkeys(
        ("leaves", "looks", "stays"), "succeeded"
    )


def test_an_orphan_without_number_mark_or_session_is_counted_once_or_said_to_be_missing(tmp_path: Path) -> None:
    if not shutil.which("prlimit"):
        pytest.skip("no prlimit here")
    way = "(prlimit --locks=unlimited env -i setsid {burn} > /dev/null 2>&1 < /dev/null &) ; {over}"
    found = burnt(run_all(tmp_path / "repo", dict.fromkeys(("one", "two"), way), {}))

    for one in found.values():
        exact = 0.95 * one.true <= one.recorded <= one.true + 0.1
        assert exact or (not one.usage["complete"] and one.recorded <= one.true + 0.1)


def test_a_run_within_a_stage_gets_its_own_and_is_the_stage_s(tmp_path: Path) -> None:
    project = project_in(tmp_path / "repo")
    way = "(setsid {burn} &) ; {over}"
    project.define("inner", {"id": "deep", "shell": filled(project.root, "deep", way)})
    inner = f"{ORCHGATE} run inner --task {TASK} && cp deep.true outer.true"
    beside = filled(project.root, "beside", way, 0.4)
    project.define("demo", {"id": "outer", "shell": inner}, {"id": "beside", "shell": beside})
    project.run()
    found = {**burnt(project), **burnt(project, "inner")}
    assert {name: one.recorded >= 0.95 * one.true for name, one in found.items()} == {
        "outer": True,
        "beside": True,
        "deep": True,
    }


CARELESS_WAYS = {
    "first": "exec {lost}",
    "orphan": "({lost} &) ; {gone}",
}


@pytest.fixture(scope="module")
def careless_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return run_all(tmp_path_factory.mktemp("careless") / "repo", CARELESS_WAYS, {})


@pytest.fixture(scope="module")
def careless(careless_run: Project) -> dict[str, Burnt]:
    return burnt(careless_run)


@pytest.mark.parametrize("way", CARELESS_WAYS)
def test_what_a_careless_parent_loses_is_counted_or_said_to_be_missing(careless: dict[str, Burnt], way: str) -> None:
    one = careless[way]
    assert one.recorded >= 0.95 * one.true or "cpu_seconds" in one.usage["lower_bounds"]


@pytest.mark.parametrize("way", CARELESS_WAYS)
def test_what_nobody_counts_of_it_is_a_lower_bound(careless: dict[str, Burnt], way: str) -> None:
    assert {"written_bytes", "max_rss_bytes"} <= careless[way].usage["lower_bounds"].keys()


def ended(script: str) -> int:
    """A child that is dead and not buried yet."""
    pid = os.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", script])
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@pytest.mark.parametrize(("action", "careless"), [("SIG_IGN", True), ("SIG_DFL", False)])
def test_a_dead_process_still_tells_whether_it_ignored_its_children(action: str, careless: bool) -> None:
    pid = ended(f"import signal; signal.signal(signal.SIGCHLD, signal.{action})")
    told = process_tree.ignores_children(pid)
    os.waitpid(pid, 0)
    assert told == careless


def test_a_dead_process_still_tells_its_number() -> None:
    number = process_tree.Numbers().new()
    with process_tree.handed_down(number):
        pid = ended("import os; os.setsid()")
    told = process_tree.number_of(pid)
    os.waitpid(pid, 0)
    assert told == number


def test_a_number_that_was_handed_down_is_not_kept() -> None:
    before = process_tree.number_of(os.getpid())
    with process_tree.handed_down(process_tree.Numbers().new()):
        pass
    assert process_tree.number_of(os.getpid()) == before


def test_no_two_attempts_and_no_two_runners_have_a_number_in_common() -> None:
    one, other = process_tree.Numbers(), process_tree.Numbers()
    given = [one.new() for _ in range(100)]
    assert (len(set(given)), [number in one for number in given], [number in other for number in given]) == (
        100,
        [True] * 100,
        [False] * 100,
    )


def death(seconds: float, *, careless: bool = False, bytes_: int | None = 0) -> start_and_reap.DeadChild:
    spent = resource.struct_rusage((seconds, 0.0, 1024, *[0] * 13))
    return start_and_reap.DeadChild(1, 1, 0, spent, usage.Storage(bytes_, bytes_, bytes_, bytes_), 0, careless)


def metered(user: float, system: float) -> Metered:
    return Metered(user + system, 0.01, lambda: user)


def costs(*deaths: start_and_reap.DeadChild) -> Costs:
    """Of a program whose first process died first."""
    made = Costs()
    for number, one in enumerate(deaths):
        made.add(one, None if number else 2.0)
    return made


def test_without_a_meter_a_careless_process_makes_a_lower_bound() -> None:
    spent = costs(death(0.5), death(0.25, careless=True)).total()
    assert (usage.cpu_seconds(spent), "cpu_seconds" in spent["lower_bounds"], spent["complete"]) == (0.75, True, False)


def test_with_a_meter_its_time_is_complete_and_split_as_the_meter_does() -> None:
    spent = costs(death(0.5, careless=True)).total(metered(1.0, 0.5))
    bounded = "cpu_seconds" in spent["lower_bounds"]
    assert (spent["user_seconds"], spent["system_seconds"], bounded) == (1.0, 0.5, False)


def test_a_careless_process_that_a_meter_shows_to_have_lost_nothing_is_no_reason() -> None:
    assert costs(death(0.5, careless=True)).total(metered(0.5, 0.001))["complete"] is True


def test_nor_is_one_that_had_no_children() -> None:
    assert costs(death(0.5, careless=True)).total(None, processes=1)["complete"] is True


def test_a_meter_that_shows_more_than_anybody_was_buried_with_is_believed() -> None:
    spent = costs(death(0.5)).total(metered(0.9, 0.0))
    assert (usage.cpu_seconds(spent), sorted(spent["lower_bounds"])) == (
        0.9,
        ["max_rss_bytes", "read_bytes", "written_bytes"],
    )


def test_a_meter_that_has_seen_less_than_what_is_known_is_not_believed() -> None:
    spent = costs(death(0.5, careless=True)).total(metered(0.1, 0.0))
    assert (usage.cpu_seconds(spent), "cpu_seconds" in spent["lower_bounds"]) == (0.5, True)


def doubtful() -> Costs:
    """Of a program that ran beside another one when an orphan died that may have been anybody's."""
    made = costs(death(0.5))
    made.doubtful()
    return made


def test_an_orphan_that_nobody_can_tell_apart_makes_a_lower_bound() -> None:
    assert "an orphan" in doubtful().total()["lower_bounds"]["cpu_seconds"]


def test_but_not_of_a_program_whose_meter_misses_nothing() -> None:
    assert doubtful().total(metered(0.5, 0.0))["complete"] is True


def test_an_orphan_whose_bytes_are_hidden_makes_them_a_lower_bound() -> None:
    spent = costs(death(0.5, bytes_=10), death(0.1, bytes_=None)).total()
    assert (spent["written_bytes"], sorted(spent["lower_bounds"])) == (10, ["read_bytes", "written_bytes"])


def test_what_was_never_measured_is_no_lower_bound() -> None:
    spent = costs(death(0.5, bytes_=None), death(0.1, bytes_=None)).total()
    assert (spent["written_bytes"], spent.get("lower_bounds")) == (None, None)


def test_a_sum_with_a_lower_bound_is_one() -> None:
    bounded = usage.at_least(costs(death(0.5)).total(), {"cpu_seconds": "why"})
    total = usage.add(costs(death(0.5)).total(), bounded)
    assert (total["lower_bounds"], total["complete"]) == ({"cpu_seconds": "why"}, False)


def test_reasons_stay_short_however_many_stages_add_theirs() -> None:
    total = costs(death(0.5)).total()
    for number in range(100):
        total = usage.add(total, usage.at_least(total, {"cpu_seconds": f"reason {number}"}))
    assert len(total["lower_bounds"]["cpu_seconds"]) <= 200


def test_a_sum_with_what_an_older_version_wrote_does_not_say_that_it_is_complete() -> None:
    old = {name: value for name, value in costs(death(0.5)).total().items() if name != "complete"}
    assert "complete" not in usage.add(costs(death(0.5)).total(), old)


def groups(numbers: process_tree.Numbers) -> list[str]:
    """Control groups that a runner with these numbers has left."""
    top = meter.place()
    return [name for name in os.listdir(top) if f"{numbers.first:x}" in name] if top else []


def test_nothing_is_left_of_a_meter_though_a_process_goes_on() -> None:
    numbers = process_tree.Numbers()
    with meter.Meters(numbers).begun() as counting:
        child = subprocess.Popen(["sleep", "60"])
    if counting:
        counting.close()
    left = groups(numbers)
    child.kill()
    child.wait()
    assert left == []


def test_nor_where_the_program_cannot_be_started() -> None:
    numbers = process_tree.Numbers()
    with pytest.raises(FileNotFoundError), meter.Meters(numbers).begun():
        subprocess.Popen(["no-such-program"])
    assert groups(numbers) == []


def test_nor_of_those_of_a_runner_that_was_killed() -> None:
    numbers = process_tree.Numbers()
    with meter.Meters(numbers).begun():
        pass
    meter.sweep(numbers)
    assert groups(numbers) == []


def test_a_meter_agrees_with_the_kernel_s_own_times() -> None:
    with meter.Meters(process_tree.Numbers()).begun() as counting:
        child = subprocess.Popen([*PYTHON.split(), "-c", "import time\nwhile time.process_time() < 0.1: pass"])
    _, _, spent = os.wait4(child.pid, 0)
    child.returncode = 0
    found = counting.read() if counting else None
    if counting:
        counting.close()
    seconds = spent.ru_utime + spent.ru_stime
    assert found is None or abs(found.seconds - seconds) <= found.near


def test_a_process_that_goes_on_after_an_observation_makes_a_lower_bound(tmp_path: Path) -> None:
    repo = project_in(tmp_path / "repo").repo
    script = "sleep 300 > /dev/null 2>&1 < /dev/null & echo $! > pid"
    shown = repo.orchgate("observe", "--", "sh", "-c", script).out
    os.kill(int((repo.root / "pid").read_text()), signal.SIGKILL)
    assert "bytes read, bytes written at least what is recorded: 1 process went on when it had ended" in shown


def test_a_lower_bound_is_said_where_the_run_is_shown(careless_run: Project) -> None:
    said = "at least what is recorded: children of a process that ignores SIGCHLD are not counted"
    assert said in careless_run.repo.orchgate("status", "latest").out


def test_and_in_the_metrics_entry(careless_run: Project) -> None:
    (entry,) = careless_run.entries()
    assert (entry["complete"], entry["stages"][0]["complete"], "written_bytes" in entry["lower_bounds"]) == (
        False,
        False,
        True,
    )


def test_such_a_run_keeps_its_schema_and_matches_its_journal(
    careless_run: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(careless_run.root)
    assert checked("manifests", "--all-files")["diagnostics"] == []
