"""Reads logs of one JSON object a line, of any age and in any state, as far as they can be read.

Imports msgspec; whoever reads no logs does not import this.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec

from orchgate.errors import Unreadable, Vanished
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 256 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Line = TypeVar("Line")


def read(path: str, decoder: msgspec.json.Decoder[Line], max_bytes: int = MAX_BYTES) -> tuple[list[Line], str]:
    """The lines of a log that can be read, and in words what is wrong with the others, "" if nothing.

    A last line without a line break is whole if it can be read.
    """
    try:
        data = read_file(path, max_bytes)
    except ManifestError as error:
        return [], error.message
    except Vanished:
        return [], "is not there"
    except Unreadable as error:
        return [], error.message
    if not data.strip():
        return [], "is empty"
    try:
        return decoder.decode_lines(data), ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _one_by_one(data, decoder)


def _one_by_one(data: bytes, decoder: msgspec.json.Decoder[Line]) -> tuple[list[Line], str]:
    lines, bad = [], []
    numbered = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    for number, line in numbered:
        try:
            lines.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            bad.append(number)
    if bad == [numbered[-1][0]] and not data.endswith(b"\n"):
        return lines, "ends in the middle of a line"
    return lines, f"has {len(bad)} of {len(numbered)} lines that cannot be read, the first is line {bad[0]}"


def microseconds(moment: datetime) -> int:
    """Whole microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def forward(moments: Sequence[int]) -> tuple[list[int], int]:
    """Times in the order they were written, none before its predecessor, and the most that a clock went back.

    Both in microseconds.
    """
    latest, back, times = moments[0] if moments else 0, 0, []
    for moment in moments:
        back = max(back, latest - moment)
        latest = max(latest, moment)
        times.append(latest)
    return times, back
