"""The folder of criterion, `target/criterion`: the median of each benchmark's `new/estimates.json`, in nanoseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.speed.formats.times import Failed, FormatError, document, gathered, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.speed.formats.times import Times

TAIL = "/new/estimates.json"


def read(files: Mapping[str, bytes]) -> Times:
    """Seconds by the folder of a benchmark, from what files hold, by their path in criterion's. Raises FormatError."""
    return gathered(_entries(files))


def _entries(files: Mapping[str, bytes]) -> Iterator[tuple[object, object]]:
    for path, content in sorted(files.items()):
        yield path.removesuffix(TAIL), _median(content)


def _median(content: bytes) -> object:
    try:
        found = document(content)
    except FormatError as error:
        return Failed(f"estimates.json {error.message}")
    median = found.get("median") if isinstance(found, dict) else None
    if not isinstance(median, dict):
        return Failed("estimates.json has no median")
    return nanoseconds(median.get("point_estimate"))
