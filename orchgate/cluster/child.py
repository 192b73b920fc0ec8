"""The process that a worker starts for a unit of work: `python -m orchgate.cluster.child PID [FOLDER]`.

It reads a pickled pair of function and argument, calls it, and writes how that ended. With a folder, the function is a
generator, which is also given the folder: what it yields first is the answer to that, and each further message is sent
into it and answered by what it yields. What functions print goes to the error output.
"""

from __future__ import annotations

import errno
import functools
import os
import pickle
import signal
import sys

from orchgate.cluster.remote import FAILED, IDLE_SECONDS, UNFIT, VALUE, Unfit, receive_message, send_message
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PR_SET_PDEATHSIG = 1


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    end_with(int(sys.argv[1]))
    with open(answers, "wb") as stream:
        if len(sys.argv) > 2:
            _converse(sys.argv[2], stream)
            return
        function, argument = pickle.loads(_given())  # noqa: S301 -- from our own worker, see docs/guide/cluster.md
        stream.write(pickle.dumps(outcome(lambda: function(argument))))


def _converse(folder: str, stream: IO[bytes]) -> None:
    """Until nobody asks any more. A generator that has ended, well or not, answers once more, and that was all."""
    function, argument = pickle.loads(receive_message(0, IDLE_SECONDS))  # noqa: S301 -- as above
    generator = function(argument, folder)
    answer = outcome(lambda: next(generator))
    try:
        while True:
            send_message(stream, pickle.dumps(answer))
            if answer[0] != VALUE or not (question := receive_message(0, IDLE_SECONDS)):
                return
            answer = outcome(functools.partial(generator.send, pickle.loads(question)))  # noqa: S301 -- as above
    except (TimeoutError, BrokenPipeError, KeyboardInterrupt):
        return
    finally:
        generator.close()


def _given() -> bytes:
    with open(0, "rb") as stream:
        return stream.read()


def end_with(worker: int) -> None:
    """Has this process ended with the worker that started it, where the system can do that."""
    if sys.platform != "linux":
        return
    import contextlib
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != worker:  # it ended before this was said
        os._exit(1)


def outcome(called: Callable[[], Any]) -> tuple[str, Any]:
    """How a call ends. Whatever it raises is told in words: an exception of one machine may not exist on another."""
    try:
        return VALUE, called()
    except Unfit as error:
        return UNFIT, error.message
    except OrchgateError as error:
        if getattr(error, "code", 0) in _FULL:
            return UNFIT, f"its disk is full: {error.message}"
        return FAILED, error.message
    except OSError as error:
        if error.errno in _FULL:
            return UNFIT, f"its disk is full: {error}"
        return FAILED, f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 -- a fault in our own code, told like any other
        return FAILED, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
