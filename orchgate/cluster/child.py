"""The process that a worker starts for a unit of work: `python -m orchgate.cluster.child PID`.

It reads a pickled pair of function and argument, calls it, and writes how that ended. What the function prints goes to
the error output.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys

from orchgate.cluster.remote import FAILED, UNFIT, VALUE, Unfit
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PR_SET_PDEATHSIG = 1


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    end_with(int(sys.argv[1]))
    function, argument = pickle.loads(_given())  # noqa: S301 -- from our own worker, see docs/guide/cluster.md
    data = pickle.dumps(outcome(function, argument))
    with open(answers, "wb") as stream:
        stream.write(data)


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


def outcome(function: Callable[[Any], Any], argument: Any) -> tuple[str, Any]:
    """How a call ends. Whatever it raises is told in words: an exception of one machine may not exist on another."""
    try:
        return VALUE, function(argument)
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
