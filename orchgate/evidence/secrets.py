"""Artifacts that look as if they held a secret: what is pushed to a remote stays there for ever.

Patterns come with a repository, artifacts from whatever ran: RE2 reads any text once, whatever the pattern. In Python's
own engine `(a+)+$` and a line of forty letters would keep `evidence push` busy for days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import ConfigError
from orchgate.lib.patterns import lazy
from orchgate.secrets import scan, unpacked
from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.secrets.scan import Engine
    from orchgate.secrets.unpacked import Piece

UNSEEN = "unseen"  # stands for a form where nobody can look
_HINT = "patterns are matched in linear time: RE2's syntax, without look-around, back-references and possessive repeats"
# What means another thing in a whole text than in a line of it, or joined with other patterns than alone.
_NOT_JOINED = lazy(rb"\\[AzQ]|\(\?[A-Za-z]*-")


class Match(NamedTuple):
    """Where a secret seems to be; never what it is. `line` counts from 1, in what an archive holds in `inside`.

    `pattern` is the name of a form, or a configured pattern; `unseen` why nobody can say whether there is a secret.
    """

    line: int
    pattern: str
    inside: str = ""
    unseen: str = ""

    def place(self, path: str) -> str:
        """Where it is in an artifact, as a message says it."""
        return f"{path}:{self.line}" + (f" ({redacted(self.inside)})" if self.inside else "")


class Patterns(NamedTuple):
    """Configured patterns that are looked for in every line, and one that finds nothing only where none does, if any.

    What one of `allowed` finds in `NAME: TEXT` is no secret.
    """

    each: tuple[tuple[str, Engine], ...] = ()
    any: Engine | None = None
    allowed: tuple[Engine, ...] = ()


def compiled(patterns: Sequence[str], allowed: Sequence[str] = ()) -> Patterns:
    """The configured patterns. Raises ConfigError for one that RE2 cannot read."""
    each = _each("evidence.secrets", patterns)
    exceptions = tuple(engine for _, engine in _each("evidence.secrets-allowed", allowed))
    return Patterns(each, _any(patterns), exceptions)


def _each(key: str, patterns: Sequence[str]) -> tuple[tuple[str, Engine], ...]:
    each = []
    for index, pattern in enumerate(patterns):
        expression, error = _compiled(_bytes(pattern))
        if expression is None:
            raise ConfigError(f"{key}[{index}]: cannot read {pattern[:200]!r}: {error}", _HINT)
        each.append((pattern, expression))
    return tuple(each)


def _any(patterns: Sequence[str]) -> Engine | None:
    texts = [_bytes(pattern) for pattern in patterns]
    if any(_NOT_JOINED.search(text) for text in texts):
        return None
    return _compiled(b"(?m:" + b"|".join(b"(?:%b)" % text for text in texts) + b")")[0]


def _bytes(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _compiled(pattern: bytes) -> tuple[Engine | None, str]:
    """An expression, or None and why there is none. Artifacts are bytes of no known encoding."""
    import re2

    try:
        return scan.compiled(pattern), ""
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown syntax"
        return None, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def first(content: bytes, patterns: Patterns) -> Match | None:
    """The first secret of an artifact, also in what is packed in it; or that it cannot be looked into."""
    return next(found(content, patterns), None)


def found(content: bytes, patterns: Patterns) -> Iterator[Match]:
    """All of them. A place that is told may be told again: texts overlap."""
    try:
        for piece in unpacked.pieces(content):
            yield from _forms(piece, patterns)
            yield from _configured(piece, patterns)
    except scan.Unseen as error:
        reason = str(error)
        if not _is_allowed(UNSEEN, reason.encode(), patterns):
            yield Match(0, UNSEEN, unseen=reason)


def _forms(piece: Piece, patterns: Patterns) -> Iterator[Match]:
    line, counted = piece.line, 0
    for one in scan.found(piece.text):
        if not _is_allowed(one.name, piece.text[one.start : one.end], patterns):
            line += piece.text.count(b"\n", counted, one.start)
            counted = one.start
            yield Match(line, one.name, piece.inside)


def _configured(piece: Piece, patterns: Patterns) -> Iterator[Match]:
    if not patterns.each or (patterns.any is not None and patterns.any.search(piece.text) is None):
        return
    for number, line in enumerate(piece.text.split(b"\n"), piece.line):
        for pattern, expression in patterns.each:
            match = expression.search(line)
            if match and not _is_allowed(pattern, line[match.start() : match.end()], patterns):
                yield Match(number, pattern, piece.inside)


def _is_allowed(name: str, text: bytes, patterns: Patterns) -> bool:
    return any(one.search(_bytes(f"{name}: ") + text) for one in patterns.allowed)
