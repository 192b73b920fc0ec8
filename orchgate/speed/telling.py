"""Telling those who wait how far a comparison is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib import working_time
from orchgate.speed.measurement import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.speed.timing import Timing

_OFTEN = 0.5  # seconds between two words


class Teller:
    """Says what is being done: when that changes, and now and then; `tell` is None where nobody listens."""

    def __init__(self, tell: Callable[[Progress], None] | None, timing: Timing, most: int) -> None:
        self._tell = tell
        self._timing = timing
        self._most = most
        self._doing, self._pairs, self._told = "", 0, 0.0

    def now(self, doing: str, pairs: int = 0) -> None:
        self._doing, self._pairs, self._told = doing, pairs, 0.0
        self.tick()

    def tick(self) -> float | None:
        """Tells how far it is; in how many seconds to do so again."""
        if self._tell is None:
            return None
        now = working_time.now()
        if now - self._told >= _OFTEN:
            self._told = now
            self._tell(Progress(self._doing, self._pairs, self._most, self._timing.spent, self._timing.budget))
        return self._told + _OFTEN - now
