"""`hyperfine --export-json FILE`: the least of a command's runs. One that failed, as `-i` allows, has no time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchgate.lib.text import counted
from orchgate.speed.formats.times import Failed, FormatError, document, gathered, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.speed.formats.times import Times

WRITER = "hyperfine --export-json"


def read(content: bytes) -> Times:
    """Seconds by command, with its parameters where it stands there more than once. Raises FormatError."""
    listed = table(document(content), "results", WRITER)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f'"results" is no array of objects: it was not written by {WRITER}')
    return gathered(_entries(listed))


def _entries(listed: list[Mapping[str, object]]) -> Iterator[tuple[object, object]]:
    times = Counter(str(one.get("command")) for one in listed)
    for one in listed:
        name, parameters = one.get("command"), one.get("parameters")
        if times[str(name)] > 1 and isinstance(parameters, dict):
            name = f"{name} ({', '.join(f'{key}={value}' for key, value in parameters.items())})"
        codes = one.get("exit_codes")
        bad = [code for code in codes if code != 0] if isinstance(codes, list) else []
        yield name, Failed(_ended(bad[0], len(bad))) if bad else one.get("min")


def _ended(code: object, runs: int) -> str:
    how = f"exit {code}" if isinstance(code, int) else "ended by a signal"
    return f"{how} in {counted(runs, 'run')}"
