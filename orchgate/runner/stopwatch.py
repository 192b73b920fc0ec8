"""How long one program worked, apart from the time in which it was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.lib import working_time
from orchgate.runs import usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST = 0.001  # seconds


class Stopwatch:
    """How long one program worked, from `begin` (of the clock of `worked`), or else now, until `end`."""

    def __init__(self, begin: float | None = None) -> None:
        self._begin, self._before = working_time.now() if begin is None else begin, working_time.away()
        self._held = 0.0  # seconds in which it alone was stopped
        self._since: float | None = None  # it is stopped since then
        self._bound = ""  # why it may have worked for longer
        self._wall: float | None = None
        self._away = 0.0

    @property
    def held(self) -> bool:
        return self._since is not None

    @property
    def since(self) -> float:
        """When it was stopped, by the clock of `worked`; now, if it is not."""
        return working_time.now() if self._since is None else self._since

    def hold(self, since: float) -> None:
        """It alone was stopped, at a moment of the clock of `worked`."""
        self._since = since
        working_time.note()

    def release(self, *, counts: bool = True) -> None:
        """It goes on, or it turns out that not all of it was stopped, which does not count."""
        if self._since is not None and counts:
            self._held += working_time.now() - self._since
        self._since = None

    def leave_out(self, seconds: float) -> None:
        """It did not work in the last `seconds`, though others did."""
        self._held += seconds
        working_time.note()

    def at_least(self, moment: float, why: str) -> None:
        """It ended after this moment of `now`, nobody knows when."""
        self._wall, self._bound = moment - self._begin - self._held, why

    def end(self) -> float:
        """It has ended: the seconds it worked."""
        self.release()
        passed = working_time.now() - self._begin
        wall = passed - self._held if self._wall is None else self._wall
        self._wall = min(passed, max(0.0, wall))
        self._away = passed - self._wall + working_time.away() - self._before
        return self._wall

    def told(self, cost: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """A cost, with what was left out of its wall time."""
        if cost is None:
            return None
        told = dict(cost)
        if self._away >= _LEAST:
            told["away_seconds"] = round(self._away, 3)
        return usage.at_least(told, {"wall_seconds": self._bound}) if self._bound else told
