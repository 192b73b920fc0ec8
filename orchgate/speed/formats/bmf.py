"""Bencher's metric format: latencies in nanoseconds, and throughputs in operations a second as the time of one.

https://bencher.dev/docs/reference/bencher-metric-format. Other measures have no direction that is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.speed.formats.times import Failed, FormatError, document, gathered, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.speed.formats.times import Times

THROUGHPUT = " (throughput)"


class _Pairs(list[tuple[str, object]]):
    """An object as it was written, so that a name which stands there twice is seen."""


def read(content: bytes) -> Times:
    """Seconds by benchmark; the name of a throughput says so. Raises FormatError."""
    found = document(content, object_pairs_hook=_Pairs)
    if not isinstance(found, _Pairs) or not all(isinstance(measures, _Pairs) for _, measures in found):
        raise FormatError("is no object of measures by benchmark: it is not in Bencher's metric format")
    return gathered(_entries(found))


def _entries(found: _Pairs) -> Iterator[tuple[object, object]]:
    for name, listed in found:
        assert isinstance(listed, _Pairs)
        measures = dict(listed)
        known = {"latency", "throughput"} & measures.keys()
        if not known:
            yield name, Failed("it has neither latency nor throughput")
        if "latency" in known:
            yield name, nanoseconds(_value(measures["latency"]))
        if "throughput" in known:
            yield name + THROUGHPUT, _inverse(_value(measures["throughput"]))


def _value(measure: object) -> object:
    return dict(measure).get("value") if isinstance(measure, _Pairs) else Failed("its measure is no object")


def _inverse(value: object) -> object:
    """The seconds of one operation."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 1e-300 < value < 1e300:
        return Failed(f"its throughput is {str(value)[:40]}")
    return 1.0 / value
