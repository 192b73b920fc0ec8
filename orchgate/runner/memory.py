"""The memory of all processes of a stage together, looked at now and then.

Resident sets are added up: pages that processes share count for each of them. What the kernel could say of shared pages
(`smaps_rollup`) it finds out page by page, under a lock that the measured program needs itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchgate.lib import working_time
from orchgate.runner import proc, process_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from orchgate.runner.process_tree import Origin

_FIRST, _GROWTH, _LONGEST = 0.01, 1.5, 0.25  # seconds between two samples
_SHARE = 100  # a sample that took long is not taken again before that many times as long


class Sampler:
    """The samples of one stage. `most`: the largest sum in bytes, None before there is any; `due`: when the next is."""

    def __init__(self, origin: Origin, visit: Callable[[int], object]) -> None:
        """`visit` is called with every process that is met."""
        self._origin = origin
        self._visit = visit
        self._pause = _FIRST
        self.due = working_time.now() + _FIRST
        self.most: int | None = None

    def take(self, others: Collection[int]) -> None:
        """Takes a sample. `others` lead stages that still run."""
        began = time.thread_time()
        found = 0
        for pid in process_tree.everyone_of(self._origin, others=others):
            self._visit(pid)
            found += proc.resident(pid)
        if found:
            self.most = max(self.most or 0, found)
        spent = time.thread_time() - began
        self._pause = min(_LONGEST, self._pause * _GROWTH)
        self.due = working_time.now() + max(self._pause, _SHARE * spent * (1 + len(others)))
