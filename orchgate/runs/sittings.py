"""How long somebody worked on a run, and how long nobody did: what the times in its journal add up to.

A sitting is what one process did for a run: from `run` or `resume` to its last event. Within one the times are those of
a clock that nobody can set; every event says how much of that nobody worked. Between two of them is whatever the
clocks of two processes say, which may be nonsense, and is nobody's work in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Event = Mapping[str, Any]

KEY = "away_seconds"  # of an event: seconds of this process so far in which nobody worked
MOST_SECONDS = 366 * 86400.0  # no run is left for longer than that: a clock was set
_BEGINS = ("run", "resume")


class WorkTimes(NamedTuple):
    """Seconds. `away` is None where it is not known.

    `killed` counts the sittings that were killed: how long they went on after their last event, nobody knows.
    """

    worked: float
    away: float | None
    killed: int = 0


class Sittings:
    """To be shown every event of a journal, in order."""

    def __init__(self) -> None:
        self._first: Event | None = None
        self._last: Event = {}
        self._left: float | None = None  # what its latest event says; None: nobody counts in this sitting
        self._worked = self._stopped = 0.0  # in the sittings before
        self._gaps: float | None = None
        self._killed = 0

    def see(self, event: Event) -> None:
        if event["event"] in _BEGINS:
            if self._first is not None:
                self._resumed(event)
            self._first, self._left = event, event.get(KEY)
        elif KEY in event:
            self._left = event[KEY]
        self._last = event

    def _resumed(self, event: Event) -> None:
        worked, stopped = self._sitting()
        self._worked, self._stopped = self._worked + worked, self._stopped + stopped
        self._killed += self._last["event"] != "finish"
        gap = ids.seconds(event["at"]) - ids.seconds(self._last["at"])
        first = self._first is not None and self._first["event"] == "run"
        before = 0.0 if first else self._gaps
        self._gaps = None if before is None or gap > MOST_SECONDS else before + max(0.0, gap)

    def _sitting(self) -> tuple[float, float]:
        """Seconds worked and not worked in the last sitting so far."""
        assert self._first is not None
        seconds = max(0.0, ids.seconds(self._last["at"]) - ids.seconds(self._first["at"]))
        stopped = max(0.0, (self._left or 0.0) - self._first.get(KEY, 0.0))
        return seconds - min(stopped, seconds), min(stopped, seconds)

    def total(self) -> WorkTimes:
        """Up to the last event, of which there has to be one."""
        assert self._first is not None
        worked, stopped = self._sitting()
        between = self._gaps
        if self._first["event"] == "run":  # what older versions wrote says nothing of stops
            between = None if self._left is None else 0.0
        away = None if between is None else between + self._stopped + stopped
        return WorkTimes(self._worked + worked, away, self._killed)


def of(events: Iterable[Event]) -> WorkTimes:
    """The times of a whole journal, or of its beginning."""
    sittings = Sittings()
    for event in events:
        sittings.see(event)
    return sittings.total()


def counted(event: Event) -> bool:
    """Whether who wrote an event that begins a sitting counts the time in which nobody works."""
    return KEY in event


def words(worked: float, away: float | None) -> str:
    """`worked 12 s, away 2 h`; "" where nobody was away for as long as it takes to notice."""
    return f"worked {short(worked)}, away {short(away)}" if away is not None and away >= 0.1 else ""


def short(seconds: float) -> str:
    """`0.4 s`, `12 s`, `5 min`, `2 h`, `3 days`: to two digits or so."""
    for limit, unit, size in ((10, "s", 1), (120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds:.1f} s" if limit == 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
