"""Lengths of time as people type them: `90`, `30s`, `20m`, `1h30m`."""

from __future__ import annotations

from argparse import ArgumentTypeError

from orchgate.patterns import lazy

DAY = 86_400.0
_SPAN = lazy(r"(?:(?P<h>[0-9.]{1,12})h)?(?:(?P<m>[0-9.]{1,12})m)?(?:(?P<s>[0-9.]{1,12})s?)?")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def budget(text: str) -> float:
    """Seconds, more than 0 and at most a day. Raises ArgumentTypeError."""
    match = _SPAN.fullmatch(text.strip().lower())
    try:
        seconds = sum(float(match[unit]) * size for unit, size in _UNITS.items() if match[unit]) if match else 0.0
    except ValueError:  # two points in a number
        seconds = 0.0
    if not 0 < seconds <= DAY:
        raise ArgumentTypeError(f"{text[:40]!r} is no time up to 24h: write 90, 30s, 20m or 1h30m")
    return seconds
