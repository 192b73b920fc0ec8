"""Durations on the command line: `30s`, `5m`, `1h30m`; a number alone is seconds."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
_UNITS = {"h": HOUR, "m": MINUTE, "s": 1.0}
_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


def up_to(longest: float) -> Callable[[str], float]:
    """A type for argparse: seconds, more than 0 and at most `longest`."""

    def read(text: str) -> float:
        if not 0 < (seconds := _seconds(text)) <= longest:
            raise ArgumentTypeError(
                f"expected a time up to {shown(longest)}, such as 30s, 5m or 1h30m, not {text[:40]!r}"
            )
        return seconds

    return read


def _seconds(text: str) -> float:
    """0.0 for what is no duration."""
    found = _FORM.fullmatch(text.strip().lower())
    amounts = zip(_UNITS.values(), found.groups() if found else (), strict=False)
    return sum(unit * float(amount) for unit, amount in amounts if amount)


def shown(seconds: float) -> str:
    """`1h30m` of 5400.0, as an option takes it; parts of a second only where there is no whole one."""
    left, parts = round(seconds), []
    for letter, unit in _UNITS.items():
        count, left = divmod(left, int(unit))
        parts += [f"{count}{letter}"] if count else []
    return "".join(parts) or f"{seconds:g}s"
