"""Numbers of charts: where they are on an axis, which round ones are written beside it, and what they are in words."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil, floor, isfinite, log2, log10

from orchgate.charts.shapes import Unit
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_ORDERS = 40  # the largest value by the smallest from which an axis is logarithmic
_STEPS = (1, 2, 5, 10)
_ROOM = 0.06  # of the axis that stays free at each end
_FROM_ZERO = 0.6  # values that go down to this fraction of the largest are shown from zero on
_LONGEST = 10  # characters of a label
_UNITS = {
    Unit.SECONDS: ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    Unit.BYTES: ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")),
    Unit.RATE: ((0.01, "%"),),
    Unit.COUNT: ((1.0, ""),),
}


class AxisScale(NamedTuple):
    """An axis from `low` to `high`, which differ."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; what is outside is at the end."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = log10(max(value, low)), log10(low), log10(high)
        return min(1.0, max(0.0, (value / 2 - low / 2) / (high / 2 - low / 2)))


class Tick(NamedTuple):
    value: float
    label: str


def scale_of(values: Sequence[float], *, zero: bool = False) -> AxisScale:
    """An axis for finite values, of which there may be none. `zero`: it has to show the distance from zero."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if not zero and low > 0 and high / low >= _ORDERS:
        room = (high / low) ** _ROOM
        return AxisScale(low / room, high * room, logarithmic=True)
    if low >= 0 and (zero or low <= _FROM_ZERO * high):
        return AxisScale(0.0, (high or 1.0) * (1 + _ROOM))
    room = (high / 2 - low / 2) * 2 * _ROOM or abs(high) * 0.05 or 1.0
    return AxisScale(max(0.0, low - room) if low >= 0 else low - room, high + room)


def ticks(scale: AxisScale, unit: Unit, most: int = 5) -> list[Tick]:
    """At most `most` round numbers on an axis, all in the same unit."""
    if scale.logarithmic:
        return [Tick(value, _alone(unit, value)) for value in _powers(scale, unit, most)]
    largest = max(abs(scale.low), abs(scale.high))
    size, name = next((one for one in _UNITS[unit] if largest >= one[0]), _UNITS[unit][-1])
    step = _step((scale.high / 2 - scale.low / 2) * 2 / size, most)
    if unit is Unit.COUNT:
        step = max(step, 1.0)
    found = list(_multiples(scale, step * size, most))
    decimals = max(0, -floor(log10(step) + 1e-9)) if 1e-9 < step < 1e15 else 0
    return [Tick(value, _label(value / size, decimals, name)) for value in found]


def _step(span: float, most: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that divides a span into less than `most` parts."""
    rough = span / max(1, most - 1)
    power = 10.0 ** floor(log10(rough)) if rough > 1e-300 else 1e-300
    return next((step * power for step in _STEPS if step * power >= rough * (1 - 1e-9)), 10 * power)


def _multiples(scale: AxisScale, step: float, most: int) -> Iterator[float]:
    first = ceil(scale.low / step)
    for count in range(most + 1):
        value = (first + count) * step
        if scale.low <= value <= scale.high:
            yield value


def _powers(scale: AxisScale, unit: Unit, most: int) -> list[float]:
    base, exponent = (2.0, log2) if unit is Unit.BYTES else (10.0, log10)
    first, last = ceil(exponent(scale.low)), floor(exponent(scale.high))
    every = max(1, ceil((last - first + 1) / most))
    return [base**power for power in range(first, last + 1, every)]


def _alone(unit: Unit, value: float) -> str:
    size, name = next((one for one in _UNITS[unit] if value >= one[0] * (1 - 1e-9)), _UNITS[unit][-1])
    number = value / size
    decimals = 0 if number >= 1 else min(3, -floor(log10(number)))
    return _label(number, decimals, name)


def _label(number: float, decimals: int, unit: str) -> str:
    text = f"{number:,.{decimals}f}" if abs(number) < 1e12 else f"{number:.3g}"
    text = f"{number:.3g}" if len(text) > _LONGEST else text
    text = text.replace("-", "\u2212") if float(text.replace(",", "")) else text.removeprefix("-")
    return f"{text} {unit}".strip()


# Numbers of charts in words: values, changes, dates. What is no finite number has none.


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
