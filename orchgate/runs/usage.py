"""What a run cost: its processes, as far as the kernel says, and the time it was worked on.

CPU seconds and the largest resident set come from `wait4`: the process and every descendant that somebody waited for.
Bytes are those the storage saw (`read_bytes` and `write_bytes` of /proc/<pid>/io, read while the process is a zombie),
of the same processes. Daemons that outlived their parents are added when this runner, their new parent, reaps them.
What is not known, such as the cost of a process whose parent ignores its end, makes a number a lower bound:
`lower_bounds` says why, by metric, and `complete` is false.
What the kernel calls the largest resident set may be that of the program before: where the runner itself started one,
a figure that is not above the runner's own is not known. `tree_rss_bytes` is sampled, see `process_tree`.
Processes are counted in measured runs only, see `meter`.

Working time is what the times in a journal add up to, session by session. A session is what one process did for a run:
from `run` or `resume` to its last event. Within one the times are those of a clock that nobody can set; every event
says for how much of that the run stood still (it was stopped, the machine slept). Between two sessions is whatever the
clocks of two processes say, which may be nonsense, and is not working time in any case.
"""

from __future__ import annotations

import sys

from orchgate.lib.files import read_virtual
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from resource import struct_rusage
    from typing import Any

    Event = Mapping[str, Any]
    Cost = dict[str, Any]  # of a process, a stage or a run, in the words of the manifest

_MARGIN = 256 * 1024  # bytes; the kernel counts pages in batches
_LEAST = 1024 * 1024  # bytes; what a smaller program takes varies by a quarter with where the kernel puts it
_SECONDS = ("wall_seconds", "user_seconds", "system_seconds")
_PEAKS = ("max_rss_bytes", "tree_rss_bytes")
_SUMS = ("read_bytes", "written_bytes", "processes")
CPU = "cpu_seconds"  # in `lower_bounds`: user and system seconds
# What is not known of a process that nobody has reaped, or not yet.
OF_A_PROCESS = (CPU, "max_rss_bytes", "read_bytes", "written_bytes")
# Seconds that are left out of wall_seconds, in a cost; in an event, those of its process so far.
AWAY = "away_seconds"
_LONGEST = 200  # characters of the reasons for one lower bound


class Storage(NamedTuple):
    """Bytes that a process and its reaped children read from and wrote to storage; None where that is unknown.

    `asked_read` and `asked_written` went through their system calls, whether to storage, to memory or into a pipe.
    """

    read: int | None
    written: int | None
    asked_read: int | None = None
    asked_written: int | None = None


def storage(pid: int) -> Storage:
    """Works for a living process and for a zombie alike."""
    try:
        fields = dict(line.split(b": ") for line in read_virtual(f"/proc/{pid}/io").splitlines())
        return Storage(*(int(fields[name]) for name in (b"read_bytes", b"write_bytes", b"rchar", b"wchar")))
    except (OSError, KeyError, ValueError):
        return Storage(None, None)


def of(spent: struct_rusage, bytes_: Storage, wall: float, *, floor: int = 0) -> Cost:
    """One process's cost in the words of the manifest. `wall` in seconds.

    `floor`: bytes that the kernel may have kept from the program that started it, see `starting`.
    """
    peak = peak_bytes(spent)
    return {
        "wall_seconds": round(wall, 6),
        "user_seconds": round(spent.ru_utime, 6),
        "system_seconds": round(spent.ru_stime, 6),
        "max_rss_bytes": max(peak, _LEAST) if not floor or peak > floor + _MARGIN else None,
        "tree_rss_bytes": None,
        "read_bytes": bytes_.read,
        "written_bytes": bytes_.written,
        "processes": None,
        "complete": True,
    }


def peak_bytes(spent: struct_rusage, platform: str = sys.platform) -> int:
    """The largest resident set in bytes: macOS counts in bytes, every other system in kibibytes."""
    return spent.ru_maxrss if platform == "darwin" else spent.ru_maxrss * 1024


def with_tree(cost: Mapping[str, Any], sampled: int | None) -> Cost:
    """A cost with the memory of all processes at once, which is never less than that of the largest one.

    Where no sample met them, nothing is known.
    """
    if sampled is None:
        return dict(cost)
    return {**cost, "tree_rss_bytes": max(sampled, cost["max_rss_bytes"] or 0)}


def at_least(cost: Mapping[str, Any], reasons: Mapping[str, str]) -> Cost:
    """A cost of which some values are lower bounds, and why; what was not measured at all gets no bound."""
    bounds = dict(cost.get("lower_bounds", {}))
    for name, reason in reasons.items():
        if name == CPU or cost.get(name) is not None:
            bounds[name] = _both(bounds.get(name, ""), reason)
    return {**cost, "lower_bounds": bounds, "complete": False} if bounds else dict(cost)


def _both(one: str, other: str) -> str:
    """Two reasons as one, which stays short however many stages add theirs."""
    known = one.split("; ") if one else []
    new = [reason for reason in other.split("; ") if reason not in known]
    return "; ".join([*known, *new])[:_LONGEST]


def cpu_seconds(cost: Mapping[str, Any]) -> float:
    seconds: float = cost["user_seconds"] + cost["system_seconds"]
    return seconds


def add(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> Cost:
    """Two costs as one; what was not measured in one of them is not known of both, peaks excepted."""
    if one is None:
        return dict(other)
    total = {key: round(one[key] + other[key], 6) for key in _SECONDS}
    for key in _PEAKS:
        if key in one or key in other:  # older versions knew only of one
            total[key] = max(one.get(key) or 0, other.get(key) or 0) or None
    total = with_tree(total, total.get("tree_rss_bytes"))
    for key in _SUMS:
        total[key] = None if one[key] is None or other[key] is None else one[key] + other[key]
    if one.get("complete") and other.get("complete"):  # where one of them does not say, it is not known of both
        total["complete"] = True
    if AWAY in one or AWAY in other:
        total[AWAY] = round(one.get(AWAY, 0.0) + other.get(AWAY, 0.0), 3)
    for bounded in (one, other):
        total = at_least(total, bounded.get("lower_bounds", {}))
    return total


_MOST_SECONDS = 366 * 86400.0  # no run is left for longer than that: a clock was set
_BEGINS = ("run", "resume")


class WorkTimes(NamedTuple):
    """Seconds. `away` is None where it is not known.

    `killed` counts the sessions that were killed: how long they went on after their last event is unknown.
    """

    worked: float
    away: float | None
    killed: int = 0


class SessionTimes:
    """To be shown every event of a journal, in order."""

    def __init__(self) -> None:
        self._first: Event | None = None
        self._last: Event = {}
        self._left: float | None = None  # time away as of its latest event; None: not counted in this session
        self._worked = self._stopped = 0.0  # in the sessions before
        self._gaps: float | None = None
        self._killed = 0

    def see(self, event: Event) -> None:
        if event["event"] in _BEGINS:
            if self._first is not None:
                self._resumed(event)
            self._first, self._left = event, event.get(AWAY)
        elif AWAY in event:
            self._left = event[AWAY]
        self._last = event

    def _resumed(self, event: Event) -> None:
        worked, stopped = self._session()
        self._worked, self._stopped = self._worked + worked, self._stopped + stopped
        self._killed += self._last["event"] != "finish"
        gap = ids.seconds(event["at"]) - ids.seconds(self._last["at"])
        first = self._first is not None and self._first["event"] == "run"
        before = 0.0 if first else self._gaps
        self._gaps = None if before is None or gap > _MOST_SECONDS else before + max(0.0, gap)

    def _session(self) -> tuple[float, float]:
        """Seconds worked and not worked in the last session so far."""
        assert self._first is not None
        seconds = max(0.0, ids.seconds(self._last["at"]) - ids.seconds(self._first["at"]))
        stopped = max(0.0, (self._left or 0.0) - self._first.get(AWAY, 0.0))
        return seconds - min(stopped, seconds), min(stopped, seconds)

    def total(self) -> WorkTimes:
        """Up to the last event, of which there has to be one."""
        assert self._first is not None
        worked, stopped = self._session()
        between = self._gaps
        if self._first["event"] == "run":  # older versions did not record stops
            between = None if self._left is None else 0.0
        away = None if between is None else between + self._stopped + stopped
        return WorkTimes(self._worked + worked, away, self._killed)


def work_times(events: Iterable[Event]) -> WorkTimes:
    """The times of a whole journal, or of its beginning."""
    times = SessionTimes()
    for event in events:
        times.see(event)
    return times.total()


def counts_absence(event: Event) -> bool:
    """Whether who wrote an event that begins a session counts the time in which the run stands still."""
    return AWAY in event


def away_words(worked: float, away: float | None) -> str:
    """`worked 12 s, away 2 h`; "" where nobody was away for as long as it takes to notice."""
    return f"worked {duration(worked)}, away {duration(away)}" if away is not None and away >= 0.1 else ""


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `5 min`, `2 h`, `3 days`: to two digits or so."""
    for limit, unit, size in ((10, "s", 1), (120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds:.1f} s" if limit == 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
