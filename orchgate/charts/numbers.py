"""Numbers of charts in words: values, changes, dates. What is no finite number has none."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

from orchgate.charts.shapes import Unit
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Iterable

NONE = words.UNKNOWN
_LARGEST, _SMALLEST = 1e120, 1e-120
_LONG = 1e12  # from here on digits say less than their number
_SUFFIXES = {Unit.SECONDS: " s", Unit.BYTES: " B", Unit.RATE: " %", Unit.COUNT: ""}


def finite(value: float | None) -> float | None:
    """The number, None where there is none. What is too large or too small to calculate with is as near as can be."""
    if value is None or not isfinite(value):
        return None
    if _SMALLEST < abs(value) < _LARGEST:
        return float(value)
    return min(max(float(value), -_LARGEST), _LARGEST) if abs(value) > 1 else 0.0


def known(values: Iterable[float | None]) -> list[float]:
    return [value for value in map(finite, values) if value is not None]


def amount(unit: Unit, value: float | None) -> str:
    """A value with its unit: `12.3 ms`, `1.5 GiB`, `97.0 %`, `1,204`."""
    if value is None or not isfinite(value):
        return NONE
    if (abs(value) >= _LONG and unit is not Unit.BYTES) or abs(value) >= _LONG * 1024:
        return f"{value * (100 if unit is Unit.RATE else 1):.3g}{_SUFFIXES[unit]}"
    if not value:
        return f"0{_SUFFIXES[unit]}"
    if unit is Unit.COUNT:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"
    return words.amount(unit.value, value)


def change(fraction: float | None) -> str:
    """`+12.3 %`; very large changes as factors."""
    if fraction is None or not isfinite(fraction):
        return NONE
    return f"x {fraction:.3g}" if abs(fraction) >= _LONG else words.percent(fraction + 0.0)


def date(at: float | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time in UTC; `NONE` where it is no date."""
    try:
        return NONE if at is None else datetime.fromtimestamp(at, UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return NONE
