"""What processes cost, as far as the kernel says.

CPU seconds and the largest resident set come from `wait4`: the process and every descendant that somebody waited for.
Bytes are those the storage saw (`read_bytes` and `write_bytes` of /proc/<pid>/io, read while the process is a zombie),
of the same processes. Daemons that outlived their parents are added when this runner, their new parent, buries them.
What is not known, such as the cost of a process whose parent does not want to know of its end, makes a number a lower
bound: `lower_bounds` says why, by metric, and `complete` is false.
What the kernel calls the largest resident set may be that of the program before: where the runner itself started one,
a figure that is not above the runner's own is not known. `tree_rss_bytes` is sampled, see `memory`.
Processes are counted in measured runs only, see `forks`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from resource import struct_rusage

Cost = dict[str, Any]  # of a process, a stage or a run, in the words of the manifest
_MARGIN = 256 * 1024  # bytes; the kernel counts pages in batches
_LEAST = 1024 * 1024  # bytes; what a smaller program takes varies by a quarter with where the kernel puts it
_SECONDS = ("wall_seconds", "user_seconds", "system_seconds")
_PEAKS = ("max_rss_bytes", "tree_rss_bytes")
_SUMS = ("read_bytes", "written_bytes", "processes")
CPU = "cpu_seconds"  # in `lower_bounds`: user and system seconds
# What is not known of a process that nobody buried, or not yet.
OF_A_PROCESS = (CPU, "max_rss_bytes", "read_bytes", "written_bytes")
AWAY = "away_seconds"  # left out of wall_seconds; only there where something was
_LONGEST = 200  # characters of the reasons for one lower bound


class Storage(NamedTuple):
    """Bytes that a process and its buried children read from and wrote to storage; None where nobody says.

    `asked_read` and `asked_written` went through their system calls, whether to storage, to memory or into a pipe.
    """

    read: int | None
    written: int | None
    asked_read: int | None = None
    asked_written: int | None = None


def storage(pid: int) -> Storage:
    """Works for a living process and for a zombie alike."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            fields = dict(line.split(b": ") for line in file.read().splitlines())
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
    """The largest resident set in bytes: macOS says it in bytes, every other system in kibibytes."""
    return spent.ru_maxrss if platform == "darwin" else spent.ru_maxrss * 1024


def with_tree(cost: Mapping[str, Any], sampled: int | None) -> Cost:
    """A cost with the memory of all processes at once, which is never less than that of the largest one.

    Where no sample met them, nothing is known.
    """
    if sampled is None:
        return dict(cost)
    return {**cost, "tree_rss_bytes": max(sampled, cost["max_rss_bytes"] or 0)}


def at_least(cost: Mapping[str, Any], reasons: Mapping[str, str]) -> Cost:
    """A cost of which some values are lower bounds, and why; of what was not measured at all, nothing is said."""
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
