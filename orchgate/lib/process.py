"""The only module that runs other programs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
        return Completed(child.returncode, *_rest(child), timed_out=True)
    except BaseException:
        end(child, own_group=own_group)
        _close(child)
        raise
    return Completed(child.returncode, stdout, stderr)


def restart(*options: str) -> NoReturn:
    """Replaces this process by the same command line with other options of the interpreter.

    `-P` keeps the folder of a script, and with `-m` the current one, off the path from the first import on.
    """
    os.execv(sys.executable, [sys.executable, "-P", *options, *sys.orig_argv[1:]])  # noqa: S606 -- our own interpreter


def start(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    own_group: bool = False,
    discard_errors: bool = False,
) -> subprocess.Popen[bytes]:
    """A running program with piped input and output, for conversations. Raises ProgramMissing."""
    with _refusals(argv[0], cwd):
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if discard_errors else subprocess.PIPE,
            start_new_session=own_group,
        )


def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], output: int, source: int | None = None) -> int:
    """Starts a program in a session of its own, all its output to a descriptor; returns its id.

    Its input is the descriptor `source`, or empty.

    The caller waits for it with the system's own calls. Raises ProgramMissing, OrchgateError.
    """
    with _refusals(argv[0], cwd):
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL if source is None else source,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child.returncode = 0  # it is not waited for here, and must not be reported as forgotten
    return child.pid


def attach(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Starts a program as a shell would: on our terminal, in our group, with every descriptor we were given.

    Returns its id; the caller waits for it with the system's own calls. Raises ProgramMissing, OrchgateError.
    """
    with _refusals(argv[0], None):
        child = subprocess.Popen(argv, env=env, close_fds=False)
    child.returncode = 0  # as in `spawn`
    return child.pid


@contextlib.contextmanager
def _refusals(program: str, cwd: str | None) -> Iterator[None]:
    """The system's reasons not to start a program, as ours."""
    try:
        yield
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        if cwd is not None and error.filename == cwd:
            raise OrchgateError(f"cannot work in {cwd}: {error.strerror}") from error
        raise ProgramMissing(
            f"cannot run {program}: {error.strerror}", f"install {program} and put it on PATH"
        ) from error
    except OSError as error:  # E2BIG, ENOMEM, EAGAIN, ENOEXEC …
        raise OrchgateError(f"cannot run {program}: {error.strerror}") from error


def end(child: subprocess.Popen[bytes], *, own_group: bool) -> None:
    """Terminates a program (and its group), then kills what is left after a grace period."""
    _signal(child, signal.SIGTERM, own_group)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(TERMINATE_SECONDS)
    _signal(child, signal.SIGKILL, own_group)
    child.wait()


def _rest(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Output of an ended program. A descendant that left the group may hold the pipes open: nobody waits for it."""
    try:
        return child.communicate(timeout=TERMINATE_SECONDS)
    except subprocess.TimeoutExpired as error:
        _close(child)
        return error.stdout or b"", error.stderr or b""


def _close(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals, own_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if own_group:
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)
