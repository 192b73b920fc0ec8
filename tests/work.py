"""How much work something is, in terms that hold on every machine and under every load: never by the clock."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

HANG = 60  # seconds of processor time; what is not a hang needs about one


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Ends a block that computes without end. It is given so much that no slow machine can be taken for a hang.

    Inputs are of a size for which a quadratic reader takes minutes.
    """

    def stop(*_: object) -> None:
        pytest.fail(f"still busy after {HANG} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def lines_run(work: Callable[[], object]) -> int:
    """Lines of Python that a call runs: the same number wherever it is counted. What C does is not seen."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before, collecting = sys.gettrace(), gc.isenabled()
    gc.disable()  # a collection here would run, and count, what others left behind
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return lines


def growth(work: Callable[[int], object], size: int, times: int) -> float:
    """How the work per item grows with `times` as many: about 1 where it is linear, about `times` where quadratic."""
    work(1)  # what is imported or compiled once is no work of the items
    return lines_run(lambda: work(size * times)) / lines_run(lambda: work(size)) / times
