"""Reads a manifest of any known format, and the place of the logs beside it, into one `Run` value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.runs.decode import MAX_BYTES, MAX_DEPTH, ManifestError, Reason, parse
from orchgate.runs.locate import read_file
from orchgate.runs.validate import format_of

if TYPE_CHECKING:
    from orchgate.runs.record import Run

__all__ = ["ManifestError", "Reason", "decode", "load", "to_run"]


def load(path: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Run:
    """The run whose manifest is at `path`. Raises ManifestError, and Unreadable when the file cannot be reached."""
    return decode(read_file(path, max_bytes), path, max_bytes, max_depth)


def decode(data: bytes, path: str = "", max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Run:
    """The run a manifest's bytes tell of. Raises ManifestError.

    Checks only what a Run needs; whether the manifest keeps its whole schema is `validate`'s question.
    """
    return to_run(parse(data, max_bytes, max_depth), path)


def to_run(document: dict[str, Any], path: str = "") -> Run:
    """A parsed manifest as a Run. Raises ManifestError with reason SCHEMA."""
    import msgspec

    from orchgate.runs.record import Run

    try:
        return msgspec.convert({**document, "path": path, "format": format_of(document)}, Run)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        what = "is no date and time that exists" if "datetime" in what else what
        raise ManifestError(Reason.SCHEMA, f"{where.strip('.`') or 'manifest'}: {what}") from None
