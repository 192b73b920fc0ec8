"""Other programs: their output, their end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from orchgate import process
from orchgate.errors import OrchgateError
from orchgate.process import ProgramMissing, run

if TYPE_CHECKING:
    from pathlib import Path


def gone(pid: int) -> bool:
    """Whether a process has ended within two seconds; an unreaped one has."""
    for _ in range(200):
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


def test_environment_is_exactly_the_given_one() -> None:
    assert run(["/usr/bin/env"], env={"ONLY": "this"}).stdout == b"ONLY=this\n"


def test_timeout_is_told_apart_from_failure() -> None:
    assert sh("sleep 60", timeout=0.1).timed_out


def test_timeout_keeps_what_was_said_before() -> None:
    assert sh("echo before; sleep 60", timeout=0.5).stdout == b"before\n"


def test_timeout_ends_grandchildren() -> None:
    done = sh("(sleep 60 & echo $!; wait) & wait", timeout=0.5)

    assert gone(int(done.stdout))


def test_timeout_ends_a_child_that_ignores_the_polite_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)

    assert sh("trap '' TERM; while :; do sleep 0.05; done", timeout=0.2).code == -signal.SIGKILL


def test_polite_signal_lets_a_child_clean_up(tmp_path: Path) -> None:
    sh(f"trap 'touch {tmp_path / 'clean'}; exit 0' TERM; while :; do sleep 0.05; done", timeout=0.3)

    assert (tmp_path / "clean").exists()


def test_grandchildren_that_ignore_the_polite_signal_end_with_their_parent() -> None:
    done = sh("(trap '' TERM; echo $$; while :; do sleep 0.05; done) & echo $!; wait", timeout=0.5)

    assert all(gone(int(pid)) for pid in done.stdout.split())


def test_descendant_outside_the_group_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)
    start = time.monotonic()
    done = sh("setsid sleep 20 & echo $!; wait", timeout=0.3)
    took = time.monotonic() - start
    os.kill(int(done.stdout), signal.SIGKILL)

    assert (done.timed_out, took < 10) == (True, True)


def test_timeout_without_a_group_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.2)

    assert run(["sleep", "60"], timeout=0.1, own_group=False).timed_out


def test_interrupt_ends_the_child() -> None:
    pids: list[int] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    original = process.start

    def remember(*args: object, **options: object) -> object:
        child = original(*args, **options)  # type: ignore[arg-type]
        pids.append(child.pid)
        return child

    process.start = remember  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sleep", "60"])
    finally:
        process.start = original
        signal.signal(signal.SIGALRM, before)
    assert gone(pids[0])
