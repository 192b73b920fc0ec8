"""A second process that ends the stages when the runner itself is killed.

It is forked from the runner, so it costs a millisecond and no memory of its own, leaves its session, and sleeps on a
pipe until the runner is gone. It keeps the journal open, and so the run locked, until the last stage's process is dead:
whoever resumes the run waits for that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.runner import meter, process_tree
from orchgate.runner.suspended import STOPPING

if TYPE_CHECKING:
    from orchgate.runner.process_tree import Numbers

_WORD = struct.Struct("q")
_ROUNDS = 100
_PAUSE = 0.02  # seconds; a process that was being started when the runner died shows up within one


class _Marks(NamedTuple):
    """How processes of the stages are known."""

    mark: str
    numbers: Numbers


class Watchdog:
    """The runner's end of the pipe. To be made before the runner becomes a subreaper, or it would be its own child."""

    def __init__(self, mark: str, numbers: Numbers, keep: int) -> None:
        """`mark` begins the marks of all stages, `numbers` holds theirs; the descriptor `keep` is kept open.

        Raises OrchgateError when no process can be started at all.
        """
        try:
            reader, self._pipe = os.pipe()
            gone, held = os.pipe()
            middle = os.fork()
        except OSError as error:
            raise OrchgateError(f"cannot start a second process to guard the stages: {error.strerror}") from error
        if middle == 0:
            _detach(reader, held, keep, _Marks(mark, numbers))
        os.close(reader)
        os.close(held)
        self._gone = gone
        os.waitpid(middle, 0)

    def watch(self, leader: int) -> None:
        """A stage has begun: its first process leads a session of this number."""
        self._say(leader)

    def forget(self, leader: int) -> None:
        """A stage has ended; its number may be used again."""
        self._say(-leader)

    def dismiss(self, *, clean: bool) -> None:
        """Returns once the watchdog is gone. Unless all is `clean`, it ends what is left first."""
        if clean:
            self._say(0)
        os.close(self._pipe)
        os.read(self._gone, 1)
        os.close(self._gone)

    def _say(self, word: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, _WORD.pack(word))


def _detach(reader: int, held: int, keep: int, marks: _Marks) -> None:
    """The forked half; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        for number in (*STOPPING, signal.SIGCONT):
            signal.signal(number, signal.SIG_DFL)  # the runner's handlers are not for us
        if os.fork() == 0:
            with contextlib.suppress(ValueError):
                signal.set_wakeup_fd(-1)
            _keep_only({reader, held, keep})
            _watch(reader, marks)
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to the runner


def _keep_only(wanted: set[int]) -> None:
    """Closes every other descriptor: the terminal, and pipes whose readers wait for their end."""
    start = 0
    for descriptor in sorted(wanted):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _watch(reader: int, marks: _Marks) -> None:
    sessions: set[int] = set()
    while data := os.read(reader, _WORD.size):
        word = _WORD.unpack(data)[0]
        if word == 0:
            return
        if word > 0:
            sessions.add(word)
        else:
            sessions.discard(-word)
    quiet = 0
    for _ in range(_ROUNDS):
        left = process_tree.of_sessions(sessions, *marks)
        process_tree.send(left, signal.SIGKILL)
        quiet = 0 if left else quiet + 1
        if quiet == 2:
            break
        time.sleep(_PAUSE)
    meter.sweep(marks.numbers)
