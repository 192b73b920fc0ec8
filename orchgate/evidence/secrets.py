"""Artifacts that look as if they held a secret: what is pushed to a remote stays there for ever."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LINE = 16 * 1024  # bytes of a line that are looked into at a time; longer lines are taken in overlapping parts
OVERLAP = 512


class Match(NamedTuple):
    """Where a secret seems to be; never what it is. `line` counts from 1."""

    line: int
    pattern: str


def compiled(patterns: Sequence[str]) -> tuple[re.Pattern[bytes], ...]:
    """The configured patterns. Raises ConfigError for one that is no regular expression."""
    found = []
    for index, pattern in enumerate(patterns):
        try:
            found.append(re.compile(pattern.encode("utf-8", "surrogateescape")))
        except re.error as error:
            raise ConfigError(f"evidence.secrets[{index}]: {pattern!r} is no regular expression: {error}") from error
    return tuple(found)


def first(content: bytes, patterns: Sequence[re.Pattern[bytes]]) -> Match | None:
    """The first line of an artifact that matches one of the patterns."""
    if not patterns:
        return None
    for number, part in _parts(content):
        for pattern in patterns:
            if pattern.search(part):
                return Match(number, pattern.pattern.decode("utf-8", "replace"))
    return None


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if len(line) <= MAX_LINE:
            yield number, line
        else:
            for start in range(0, len(line), MAX_LINE - OVERLAP):
                yield number, line[start : start + MAX_LINE]
