"""Other programs: their output, their end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.errors import OrchgateError
from orchgate.lib import process
from orchgate.lib.process import ProgramMissing, run

if TYPE_CHECKING:
    from pathlib import Path


def gone(pid: int) -> bool:
    """Whether a process ends, in time that only a hang takes; an unreaped one has ended."""
    for _ in range(6000):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def sh(script: str, timeout: float | None = None, **options: Any) -> process.Completed:
    return run(["sh", "-c", script], timeout=timeout, **options)


def sh_once(said: bytes, script: str) -> process.Completed:
    """A script that its timeout ends once it has said so: a busy machine is given more time to get there."""
    for timeout in (0.3, 3, 30):
        done = sh(script, timeout=timeout)
        if said in done.stdout:
            return done
    raise AssertionError(f"the script never said {said!r}")


def test_output_and_errors_are_kept_apart() -> None:
    assert sh("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n", False)


def test_input_is_handed_over() -> None:
    assert run(["cat"], input=b"\0\xff\n").stdout == b"\0\xff\n"


def test_input_is_empty_by_default() -> None:
    assert run(["cat"]).stdout == b""


def test_input_nobody_reads_is_no_error() -> None:
    assert run(["true"], input=b"x" * 1_000_000).code == 0


def test_big_output_on_both_pipes_does_not_block() -> None:
    done = sh("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero", timeout=60)

    assert (len(done.stdout), len(done.stderr)) == (3_000_000, 3_000_000)


def test_signal_is_a_negative_code() -> None:
    assert sh("kill -9 $$").code == -signal.SIGKILL


def test_missing_program_says_what_to_install() -> None:
    with pytest.raises(ProgramMissing, match="cannot run no-such-program"):
        run(["no-such-program"])


def test_file_that_is_not_executable_is_a_missing_program(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")

    with pytest.raises(ProgramMissing, match="Permission denied"):
        run([str(tmp_path / "plain")])


def test_folder_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing):
        run([str(tmp_path)])


def test_file_the_system_cannot_execute_is_an_error_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\x7fnot a program")
    (tmp_path / "odd").chmod(0o755)

    with pytest.raises(OrchgateError, match="Exec format error"):
        run([str(tmp_path / "odd")])


def test_too_long_command_line_is_an_error_with_a_reason() -> None:
    with pytest.raises(OrchgateError, match="too long"):
        run(["true", "x" * 10_000_000])


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_missing_folder_is_not_a_missing_program(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OrchgateError, match="cannot work in") as caught:
        run(["true"], cwd=str(tmp_path / name))
    assert not isinstance(caught.value, ProgramMissing)


@pytest.mark.parametrize("start", ["spawn", "spawn_helper"])
def test_without_a_descriptor_left_nothing_is_started_for_a_reason(start: str) -> None:
    script = f"""
import os, resource
from orchgate.errors import OrchgateError
from orchgate.lib import process
output = os.open(os.devnull, os.O_WRONLY)
resource.setrlimit(resource.RLIMIT_NOFILE, (output + 1, output + 1))
try:
    process.{start}(["/bin/true"], cwd=os.getcwd(), env={{}}, output=output)
except OrchgateError as error:
    print(error)
"""

    assert run([sys.executable, "-c", script]).stdout == b"cannot run /bin/true: Too many open files\n"


def test_environment_is_exactly_the_given_one() -> None:
    assert run(["/usr/bin/env"], env={"ONLY": "this"}).stdout == b"ONLY=this\n"


@pytest.mark.slow
def test_timeout_is_told_apart_from_failure() -> None:
    assert sh("sleep 60", timeout=0.1).timed_out


@pytest.mark.slow
def test_timeout_keeps_what_was_said_before() -> None:
    assert sh_once(b"before", "echo before; sleep 600").stdout == b"before\n"


@pytest.mark.slow
def test_timeout_ends_grandchildren() -> None:
    done = sh_once(b"\n", "(sleep 600 & echo $!; wait) & wait")

    assert gone(int(done.stdout))


@pytest.mark.slow
def test_timeout_ends_a_child_that_ignores_the_polite_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)

    assert sh_once(b"up", "trap '' TERM; echo up; while :; do sleep 0.05; done").code == -signal.SIGKILL


@pytest.mark.slow
def test_polite_signal_lets_a_child_clean_up(tmp_path: Path) -> None:
    sh_once(b"up", f"trap 'touch {tmp_path / 'clean'}; exit 0' TERM; echo up; while :; do sleep 0.05; done")

    assert (tmp_path / "clean").exists()


@pytest.mark.slow
def test_grandchildren_that_ignore_the_polite_signal_end_with_their_parent() -> None:
    done = sh_once(b"\n", "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & wait")

    assert gone(int(done.stdout))


@pytest.mark.slow
def test_descendant_outside_the_group_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)
    done = sh_once(b"\n", "setsid sleep 600 & echo $!; wait")
    os.kill(int(done.stdout), signal.SIGKILL)  # no such process, had it been waited for

    assert done.timed_out


@pytest.mark.slow
def test_timeout_without_a_group_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)

    assert run(["sleep", "60"], timeout=0.1, own_group=False).timed_out


@pytest.mark.slow
def test_interrupt_ends_the_child() -> None:
    pids: list[int] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    original = process.start

    def remember(*args: object, **options: object) -> object:
        child = original(*args, **options)  # type: ignore[arg-type]
        pids.append(child.pid)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        return child

    process.start = remember  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sleep", "60"])
    finally:
        process.start = original
        signal.signal(signal.SIGALRM, before)
    assert gone(pids[0])
