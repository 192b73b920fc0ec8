"""Secrets in a text of any size, in one pass: every form is part of one expression, and what it finds is looked at."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchgate.secrets.forms import BESIDE_KEY_WORDS, FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator


_MEMORY = 64 * 1024 * 1024  # bytes for RE2's automaton; with fewer it would start again and again


MOST = 300_000  # places of a text that are looked at closely in vain: ten seconds


class Unseen(Exception):
    """Why nobody can say whether there is a secret. Caught where an artifact is judged."""


class Found(NamedTuple):
    """A secret of a form, in `text[start:end]`."""

    name: str
    start: int
    end: int


class Matched(Protocol):
    """What an expression matched."""

    def start(self) -> int: ...
    def end(self) -> int: ...


class Engine(Protocol):
    """An expression that RE2 compiled."""

    def search(self, text: bytes, pos: int = 0) -> Matched | None: ...


def found(text: bytes, pos: int = 0) -> Iterator[Found]:
    """The secrets in a text, from a position on, in order. Raises Unseen."""
    search = _all().search
    dismissed = 0
    while match := search(text, pos):
        one = at(text, match.start())
        if one:
            yield one
        elif (dismissed := dismissed + 1) > MOST:
            raise Unseen(f"more than {MOST:,} places in it look like secrets and are none")
        pos = max(one.end if one else 0, match.start() + 1)


def at(text: bytes, start: int) -> Found | None:
    """The secret that begins at a place. What several forms match there is what any of them takes for one."""
    for form in FORMS[:BESIDE_KEY_WORDS]:
        if (match := _one(form.expression).match(text, start)) and (span := form.judge(text, start, match.end())):
            return Found(_issuer(text, *span) or form.name, *span)
    if match := _issued().match(text, start):
        form = FORMS[BESIDE_KEY_WORDS + (match.lastindex or 0) - 1]
        if span := form.judge(text, start, match.end()):
            return Found(form.name, *span)
    return None


def _issuer(text: bytes, start: int, end: int) -> str:
    """The form of a token that stands beside a key word; "" where it is of none."""
    match = _issued().match(text, start, end)
    form = FORMS[BESIDE_KEY_WORDS + (match.lastindex or 0) - 1] if match else None
    return form.name if form and match and form.judge(text, start, match.end()) else ""


def among(text: bytes) -> Iterator[Found]:
    """As `found`, in no order and with what overlaps, for a short text: asks only the forms whose words are in it."""
    words = (text + text.lower()).decode("latin-1")
    for form in FORMS:
        if any(word in words for word in form.words):
            for match in _one(form.expression).finditer(text):
                if span := form.judge(text, match.start(), match.end()):
                    yield Found(form.name, *span)


@functools.cache
def _all() -> Engine:
    # No groups: the one that matched would have to be looked for step by step, in an expression of this size.
    return compiled("|".join(f"(?:{form.expression})" for form in FORMS).encode())


# From one place on, in an expression whose repeats are all bounded, Python's own engine is quick and comes to an end.


@functools.cache
def _one(expression: str) -> re.Pattern[bytes]:
    return re.compile(expression.encode())


@functools.cache
def _issued() -> re.Pattern[bytes]:
    """The forms of tokens, which never begin where another one does."""
    return re.compile("|".join(f"({form.expression})" for form in FORMS[BESIDE_KEY_WORDS:]).encode())


def compiled(expression: bytes) -> Engine:
    """An expression for RE2. Raises re2.error."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False  # to standard error, in words of its own
    options.max_mem = _MEMORY
    engine: Engine = re2.compile(expression, options)
    return engine
