"""The only module that runs other programs."""

from __future__ import annotations

# The module `signal` makes enums of what this one has, which costs as much as three of our modules.
import _signal as signal  # type: ignore[import-not-found]  # typeshed lacks it
import functools
import os
import sys

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from typing import IO, Any, NoReturn

TERMINATE_SECONDS = 2.0
_AT_ONCE = 4096  # bytes that every pipe takes before anybody reads from it


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
    if not own_group and timeout is None and len(input) <= _AT_ONCE and (program := _program(argv[0], cwd, env)):
        return _captured(program, argv, env, input)
    return finish(start(argv, cwd=cwd, env=env, own_group=own_group), input, timeout, own_group=own_group)


def finish(child: subprocess.Popen[bytes], given: bytes, timeout: float | None, *, own_group: bool) -> Completed:
    """Waits for a program that was started, as `run` does."""
    import subprocess

    try:
        stdout, stderr = child.communicate(given, timeout=timeout)
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
    """A running program with piped input and output. Raises ProgramMissing."""
    with _refusals(argv[0], cwd):
        import subprocess

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
        import subprocess

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


def spawn_helper(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], output: int, source: int | None = None
) -> int:
    """As `spawn`, of a program that is named by its path and needs no session, only a group of its own."""
    low = min(output, output if source is None else source) <= 2  # would be overwritten before it is used
    if low or sys.platform != "linux" or not _program(argv[0], cwd, env):
        return spawn(argv, cwd=cwd, env=env, output=output, source=source)
    with _refusals(argv[0], None):
        _keep_descriptors()
    return _spawned(argv[0], argv, env, (source, output, output), own_group=True)


@functools.cache
def _keep_descriptors() -> None:
    """Hands none of the descriptors that we were given on to programs that are started from here on."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing is closed by now
            if int(name) > 2:
                os.set_inheritable(int(name), False)


def prepare() -> None:
    """Loads what `attach` needs, for whoever looks at the clock before it."""
    import subprocess  # noqa: F401


def attach(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Starts a program as a shell would: on our terminal, in our group, with every descriptor we were given.

    Returns its id; the caller waits for it with the system's own calls. Raises ProgramMissing, OrchgateError.
    """
    with _refusals(argv[0], None):
        import subprocess

        child = subprocess.Popen(argv, env=env, close_fds=False)
    child.returncode = 0  # as in `spawn`
    return child.pid


class _refusals:  # noqa: N801 -- used like a function
    """The system's reasons not to start a program, as ours."""

    def __init__(self, program: str, cwd: str | None) -> None:
        self._program = program
        self._cwd = cwd

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        program, cwd = self._program, self._cwd
        if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
            if cwd is not None and error.filename == cwd:
                raise OrchgateError(f"cannot work in {cwd}: {error.strerror}") from error
            raise ProgramMissing(
                f"cannot run {program}: {error.strerror}", f"install {program} and put it on PATH"
            ) from error
        if isinstance(error, OSError):  # E2BIG, ENOMEM, EAGAIN, ENOEXEC …
            raise OrchgateError(f"cannot run {program}: {error.strerror}") from error
        if isinstance(error, ImportError):  # of what starts it: no descriptor was left
            raise OrchgateError(f"cannot run {program}: {error}") from error


def end(child: subprocess.Popen[bytes], *, own_group: bool) -> None:
    """Terminates a program (and its group), then kills what is left after a grace period."""
    import subprocess

    _signal(child, signal.SIGTERM, own_group)
    with suppress(subprocess.TimeoutExpired):
        child.wait(TERMINATE_SECONDS)
    _signal(child, signal.SIGKILL, own_group)
    child.wait()


def _rest(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Output of an ended program. A descendant that left the group may hold the pipes open: nobody waits for it."""
    import subprocess

    try:
        return child.communicate(timeout=TERMINATE_SECONDS)
    except subprocess.TimeoutExpired as error:
        _close(child)
        return error.stdout or b"", error.stderr or b""


def _close(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


def _signal(child: subprocess.Popen[bytes], number: int, own_group: bool) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if own_group:
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)


# -- Without `subprocess`, which takes longer to import than git takes to answer ---------------------------------------


class Child:
    """A running program in conversation: questions are written to `stdin`, answers read from `stdout`."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._pid = pid
        self.stdin = stdin
        self.stdout = stdout

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        return _code(self._pid)


def talk(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str]) -> Child | subprocess.Popen[bytes]:
    """A running program in conversation; what it complains about is dropped. Raises ProgramMissing, OrchgateError."""
    program = _program(argv[0], cwd, env)
    if not program:
        return start(argv, cwd=cwd, env=env, discard_errors=True)
    theirs, mine = os.pipe()
    answers, told = os.pipe()
    try:
        pid = _spawned(program, argv, env, (theirs, told, None))
    except BaseException:
        os.close(mine)
        os.close(answers)
        raise
    finally:
        os.close(theirs)
        os.close(told)
    return Child(pid, open(mine, "wb"), open(answers, "rb"))


def _program(name: str, cwd: str | None, env: Mapping[str, str] | None) -> str:
    """The file of a program that can be started without `subprocess`; "" where that has to do it, or say why not."""
    try:
        if cwd is not None and cwd != os.getcwd():
            return ""  # only `subprocess` starts a program in another folder
    except OSError:
        return ""
    if os.sep in name:
        return name
    folders = (os.environ if env is None else env).get("PATH", os.defpath).split(os.pathsep)
    files = (os.path.join(folder, name) for folder in folders)
    return next((file for file in files if os.access(file, os.X_OK) and not os.path.isdir(file)), "")


def _spawned(
    program: str,
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    streams: tuple[int | None, int, int | None],
    *,
    own_group: bool = False,
) -> int:
    """The id of a program that was started with these descriptors; None is an empty input, and output nobody reads."""
    source, output, errors = streams
    empty = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    unread = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    actions = (
        empty if source is None else (os.POSIX_SPAWN_DUP2, source, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        unread if errors is None else (os.POSIX_SPAWN_DUP2, errors, 2),
    )
    with _refusals(argv[0], None):
        # Python ignores these two, and what it ignores its children would ignore, too.
        ignored = (signal.SIGPIPE, signal.SIGXFSZ)
        group: dict[str, Any] = {"setpgroup": 0} if own_group else {}
        return os.posix_spawn(
            program, list(argv), os.environ if env is None else env, file_actions=actions, setsigdef=ignored, **group
        )


def _captured(program: str, argv: Sequence[str], env: Mapping[str, str] | None, given: bytes) -> Completed:
    """A finished program that was given as much as a pipe takes at once."""
    ends = [*os.pipe(), *os.pipe(), *(os.pipe() if given else ())]
    output, into_output, errors, into_errors, *inputs = ends
    try:
        pid = _spawned(program, argv, env, (inputs[0] if given else None, into_output, into_errors))
    except BaseException:
        for end in ends:
            os.close(end)
        raise
    try:
        for end in (into_output, into_errors, *inputs[:1]):
            os.close(end)
        if given:
            with suppress(BrokenPipeError):  # it did not wait for it
                os.write(inputs[1], given)
            os.close(inputs[1])
        stdout, stderr = _read_both(output, errors)
        return Completed(_code(pid), stdout, stderr)
    except BaseException:
        _end_now(pid)
        raise
    finally:
        os.close(output)
        os.close(errors)


def _read_both(*ends: int) -> list[bytes]:
    """All that comes out of some pipes, whichever is filled first."""
    import select

    parts: dict[int, list[bytes]] = {end: [] for end in ends}
    waiting = select.poll()
    for end in ends:
        waiting.register(end, select.POLLIN | select.POLLHUP)
    left = len(ends)
    while left:
        for end, _ in waiting.poll():
            if part := os.read(end, 1 << 16):
                parts[end].append(part)
            else:
                waiting.unregister(end)
                left -= 1
    return [b"".join(part) for part in parts.values()]


def _end_now(pid: int) -> None:
    """Ends a program of ours that nobody waits for any more; it gets a moment to tidy up."""
    import time

    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + TERMINATE_SECONDS
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.01)


def _code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
