"""Artifacts that look as if they held a secret: what is pushed to a remote stays there for ever.

Patterns come with a repository, artifacts from whatever ran: RE2 reads any text once, whatever the pattern. In Python's
own engine `(a+)+$` and a line of forty letters would keep `evidence push` busy for days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchgate.errors import ConfigError
from orchgate.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

_HINT = "patterns are matched in linear time: RE2's syntax, without look-around, back-references and possessive repeats"
# What means another thing in a whole text than in a line of it, or joined with other patterns than alone.
_NOT_JOINED = lazy(rb"\\[AzQ]|\(\?[A-Za-z]*-")


class Expression(Protocol):
    def search(self, text: bytes) -> object | None:
        """The first match in a text."""


class Match(NamedTuple):
    """Where a secret seems to be; never what it is. `line` counts from 1."""

    line: int
    pattern: str


class Patterns(NamedTuple):
    """Patterns that are looked for in every line, and one that finds nothing only where none of them does, if any."""

    each: tuple[tuple[str, Expression], ...] = ()
    any: Expression | None = None


def compiled(patterns: Sequence[str]) -> Patterns:
    """The configured patterns. Raises ConfigError for one that RE2 cannot read."""
    each = []
    for index, pattern in enumerate(patterns):
        expression, error = _compiled(_bytes(pattern))
        if expression is None:
            raise ConfigError(f"evidence.secrets[{index}]: cannot read {pattern[:200]!r}: {error}", _HINT)
        each.append((pattern, expression))
    return Patterns(tuple(each), _any(patterns))


def _any(patterns: Sequence[str]) -> Expression | None:
    texts = [_bytes(pattern) for pattern in patterns]
    if any(_NOT_JOINED.search(text) for text in texts):
        return None
    return _compiled(b"(?m:" + b"|".join(b"(?:%b)" % text for text in texts) + b")")[0]


def _bytes(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _compiled(pattern: bytes) -> tuple[Expression | None, str]:
    """An expression, or None and why there is none. Artifacts are bytes of no known encoding."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False  # to standard error, in words of its own
    try:
        expression: Expression = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown syntax"
        return None, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return expression, ""


def first(content: bytes, patterns: Patterns) -> Match | None:
    """The first line of an artifact that matches one of the patterns."""
    if not patterns.each or (patterns.any is not None and patterns.any.search(content) is None):
        return None
    for number, line in enumerate(content.split(b"\n"), 1):
        for pattern, expression in patterns.each:
            if expression.search(line):
                return Match(number, pattern)
    return None
