"""The only module that runs other programs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TERMINATE_SECONDS = 2.0


class Completed(NamedTuple):
    """A finished program. `code` is negative for a signal; `timed_out` programs were killed with their whole group."""

    code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


class ProgramMissing(OrchgateError):
    """The program is not installed or cannot be executed."""


def run(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002 -- subprocess's own name
    timeout: float | None = None,
    own_group: bool = True,
) -> Completed:
    """Runs a program to its end with captured output; its standard input holds only `input`.

    `own_group` puts it into a process group of its own, so that a timeout (seconds) or an interrupt ends its children
    too. Raises ProgramMissing.
    """
    child = start(argv, cwd=cwd, env=env, own_group=own_group)
    try:
        stdout, stderr = child.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        end(child, own_group=own_group)
        stdout, stderr = child.communicate()
        return Completed(child.returncode, stdout, stderr, timed_out=True)
    except BaseException:
        end(child, own_group=own_group)
        raise
    return Completed(child.returncode, stdout, stderr)


def start(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    own_group: bool = False,
    discard_errors: bool = False,
) -> subprocess.Popen[bytes]:
    """A running program with piped input and output, for conversations. Raises ProgramMissing."""
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if discard_errors else subprocess.PIPE,
            start_new_session=own_group,
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        if cwd is not None and not os.path.isdir(cwd):
            raise OrchgateError(f"cannot work in {cwd}: {error.strerror}") from error
        raise ProgramMissing(f"cannot run {argv[0]}: {error.strerror}", f"install {argv[0]} and put it on PATH") from error
    except OSError as error:  # E2BIG, ENOMEM, EAGAIN …
        raise OrchgateError(f"cannot run {argv[0]}: {error.strerror}") from error


def end(child: subprocess.Popen[bytes], *, own_group: bool) -> None:
    """Terminates a program (and its group), then kills what is left after a grace period."""
    _signal(child, signal.SIGTERM, own_group)
    try:
        child.wait(TERMINATE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    _signal(child, signal.SIGKILL, own_group)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals, own_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if own_group:
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)
