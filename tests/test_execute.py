"""Output on its way into a log, and processes on theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate.lib import files
from orchgate.runner import environment, process_tree
from orchgate.runner.output import Output
from orchgate.runs import ids, usage
from orchgate.runs.stages import Pipeline, Schedule, Stage
from tests.runs import until

if TYPE_CHECKING:
    from pathlib import Path


def logged(path: Path, data: bytes, limit: int, chunk: int = 4096) -> Output:
    """The log of a program that writes `data` and ends."""
    output = Output(str(path), limit)
    buffer = memoryview(bytearray(65536))
    for start in range(0, len(data), chunk):
        os.write(output.writer, data[start : start + chunk])
        output.pump(buffer)
    output.started()
    while output.pump(buffer):
        pass
    output.finish()
    return output


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_output_within_the_limit_is_kept_whole(tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    logged(tmp_path / "log", data, 100, chunk=7)
    assert (tmp_path / "log").read_bytes() == data


@pytest.mark.parametrize(("size", "chunk"), [(101, 7), (150, 150), (1000, 1), (1000, 37), (5000, 4096)])
def test_of_output_over_the_limit_head_and_tail_are_kept(tmp_path: Path, size: int, chunk: int) -> None:
    data = bytes(number % 251 for number in range(size))
    logged(tmp_path / "log", data, 100, chunk)
    note = f"\n[orchgate: {size - 100} bytes left out here]\n".encode()
    assert (tmp_path / "log").read_bytes() == data[:50] + note + data[-50:]


def test_how_much_was_left_out_is_known(tmp_path: Path) -> None:
    output = logged(tmp_path / "log", b"x" * 1000, 100)
    assert (output.total, output.left_out) == (1000, 900)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\ntwo\n\n  \n", "two"),
        (b"50 %\r100 %\r", "100 %"),
        (b"half", "half"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
        (b"x" * 10000, "x" * 200),
    ],
)
def test_the_last_line_is_the_last_that_says_something(tmp_path: Path, data: bytes, line: str) -> None:
    assert logged(tmp_path / "log", data, 100).last_line() == line


def test_a_log_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(files.WriteError):
        Output(str(tmp_path / "no" / "log"))


@pytest.mark.slow
def test_a_gigabyte_of_output_takes_little_memory_and_time(tmp_path: Path) -> None:
    # A tenth of it here; bench/runner.py measures the whole.
    script = (
        "import sys\n"
        "from orchgate.runner.loop import Loop\n"
        "from orchgate.runner.child import Program\n"
        "import os\n"
        "ended = []\n"
        "program = Program(['head', '-c', '100000000', '/dev/zero'], '/', dict(os.environ), sys.argv[1], 'm', None)\n"
        "with Loop(lambda _: None, lambda _: None) as loop:\n"
        "    loop.start(program, ended.append)\n"
        "    while not ended: loop.step()\n"
        # Not getrusage: its figure is never below that of the process this one was forked from.
        "most = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(ended[0].output_bytes, most)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "log")]
    counted, memory = subprocess.run(argv, capture_output=True, check=True).stdout.split()
    assert (int(counted), int(memory) < 80_000, (tmp_path / "log").stat().st_size < 9_000_000) == (
        100_000_000,
        True,
        True,
    )


def test_a_pause_before_a_program_s_first_process_is_looked_for_is_told(tmp_path: Path) -> None:
    """Ctrl-Z while the end of the stage before goes to a slow disk: the program was started, and nobody worked."""
    script = (
        "import os, sys\n"
        "from orchgate.lib import working_time\n"
        "from orchgate.runner.child import Program\n"
        "from orchgate.runner.loop import Loop\n"
        "ended = []\n"
        "program = Program(['true'], '/', dict(os.environ), sys.argv[1], 'm', None)\n"
        "with Loop(lambda _: None, lambda _: None) as loop:\n"
        "    loop.start(program, ended.append)\n"
        "    working_time.leave_out(1000.0)\n"  # as the handler of SIGTSTP does
        "    while not ended: loop.step()\n"
        "print(ended[0].usage.get('away_seconds'))\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "log")]
    away = subprocess.run(argv, capture_output=True, check=True).stdout
    assert float(away.decode().replace("None", "0")) >= 1000


def test_a_process_s_own_session_is_known() -> None:
    assert process_tree.session_of(os.getpid()) == os.getsid(0)


def test_the_session_of_nobody_is_0() -> None:
    assert process_tree.session_of(2**22 + 1) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in another way")
def test_in_the_proc_of_another_namespace_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = process_tree.everybody()
    monkeypatch.setattr(os, "getpid", lambda: 1)  # what it is in a namespace of its own; /proc says what it is here

    assert os.getppid() in found
    assert (process_tree.blind(), process_tree.everybody()) == (True, {})


def test_a_mark_is_found_in_an_environment() -> None:
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, process_tree.MARK: "abc-1."})
    try:
        until(lambda: process_tree.marked(child.pid, b"abc-"))  # a moment after its start it has no environment yet
        assert not process_tree.marked(child.pid, b"abc-2.")
    finally:
        child.kill()
        child.wait()


def test_storage_is_unknown_for_a_process_that_is_not_there() -> None:
    assert usage.storage(2**22 + 1) == usage.Storage(None, None)


def test_what_was_not_measured_once_is_not_known_of_the_sum() -> None:
    one = dict.fromkeys(("wall_seconds", "user_seconds", "system_seconds"), 1.0) | {
        "max_rss_bytes": 5,
        "written_bytes": 1,
    }
    other = {**one, "read_bytes": None, "processes": None}
    assert usage.add({**one, "read_bytes": 3, "processes": None}, other)["read_bytes"] is None


def pipeline(*stages: tuple[str, tuple[str, ...]], sequential: bool = False) -> Pipeline:
    return Pipeline(
        "p", "p", tuple(Stage(name, name, ("true",), needs=needs) for name, needs in stages), sequential=sequential
    )


def test_stages_that_need_nothing_are_ready() -> None:
    assert list(Schedule(pipeline(("a", ()), ("b", ("a",)), ("c", ()))).ready) == [1, 3]


def test_a_stage_is_ready_once_all_it_needs_is_done() -> None:
    plan = Schedule(pipeline(("a", ()), ("b", ()), ("c", ("a", "b"))))
    plan.ready.clear()
    plan.done(1)
    early = list(plan.ready)
    plan.done(2)
    assert (early, list(plan.ready)) == ([], [3])


def test_a_failure_settles_all_that_follows_from_it() -> None:
    plan = Schedule(pipeline(("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ())))
    assert plan.failed(1) == [2, 3]


def test_a_stage_is_apart_where_all_others_come_before_or_after_it() -> None:
    plan = Schedule(pipeline(("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c")), ("e", ("d",))))

    assert [number for number in range(1, 6) if plan.is_apart(number)] == [1, 4, 5]


def test_a_stage_that_names_a_need_twice_still_starts() -> None:
    plan = Schedule(pipeline(("a", ()), ("b", ("a", "a"))))
    plan.done(1)
    assert 2 in plan.ready


def test_a_sequential_pipeline_has_one_stage_ready() -> None:
    assert list(Schedule(pipeline(("a", ()), ("b", ()), sequential=True)).ready) == [1]


@pytest.mark.slow
def test_ten_thousand_stages_are_no_effort() -> None:
    plan = Schedule(pipeline(*((f"s{n}", ()) for n in range(10_000)), sequential=True))
    assert len(plan.failed(1)) == 9_999


def test_a_ci_that_says_which_it_is_stays() -> None:
    assert environment.of_run({"CI": "github"}, "t", "r", "/r")["CI"] == "github"


@pytest.mark.parametrize("moment", [0.0, 1.999, 1767691582.129, 4102444800.5])
def test_a_moment_survives_being_written(moment: float) -> None:
    assert abs(ids.seconds(ids.moment(moment)) - moment) < 0.0011


def test_a_run_id_has_the_form_that_readers_expect() -> None:
    assert ids.RUN_ID.fullmatch(ids.new_run_id(1767691582.129))


def test_the_clock_never_runs_backwards() -> None:
    assert ids.Clock(not_before=4e9).now() >= 4e9
