"""Durations on the command line: `30s`, `20m`, `1h30m`; a number alone is seconds."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

from orchgate.errors import UsageError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


DAY = 86_400.0


def budget(text: str) -> float:
    """Seconds, more than 0 and at most a day. Raises ArgumentTypeError."""
    if not 0 < (seconds := _seconds(text)) <= DAY:
        raise ArgumentTypeError(f"{text[:40]!r} is no time up to 24h: write 90, 30s, 20m or 1h30m")
    return seconds


def parsed(option: str, text: str, most: float) -> float:
    """Seconds, more than 0 and at most `most`. Raises UsageError, which names the option."""
    seconds = _seconds(text)
    if not 0 < seconds <= most:
        raise UsageError(
            f"{option} takes a duration such as 30s, 20m or 1h30m, at most {shown(most)}, got {text!r}", f"{option} 20m"
        )
    return seconds


def _seconds(text: str) -> float:
    """0.0 for what is no duration."""
    found = _FORM.fullmatch(text.strip().lower())
    amounts = zip(_UNITS.values(), found.groups() if found else (), strict=False)
    return sum(unit * float(amount) for unit, amount in amounts if amount)


def shown(seconds: float) -> str:
    """`1h30m` of 5400.0, in whole seconds."""
    left, parts = round(seconds), []
    for letter, unit in _UNITS.items():
        count, left = divmod(left, int(unit))
        parts += [f"{count}{letter}"] if count else []
    return "".join(parts) or "0s"
