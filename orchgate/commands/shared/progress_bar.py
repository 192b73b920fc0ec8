"""A bar on standard error while base and head are measured; on a terminal only.

Drawn by hand: a program that is started begins with its starter's peak of memory, and `rich` would double it, so that
less could be seen of what is measured. It is drawn when something happens and never by a thread of its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.speed.timing import Progress


_WIDTH = 30
_CLEAR = "\r\x1b[K"
_UP = "\r\x1b[K\x1b[A"


@contextlib.contextmanager
def shown(subject: str) -> Iterator[Callable[[Progress], None] | None]:
    """What is to be told how far it is; None where nobody would see it."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield None
        return
    drawn = ""
    try:

        def draw(now: Progress) -> None:
            nonlocal drawn
            drawn = _draw(line(subject, now), drawn)

        yield draw
    finally:
        _draw("", drawn)


def _draw(text: str, before: str) -> str:
    """Draws over what was drawn before; what it drew."""
    with contextlib.suppress(OSError):  # the terminal may go away, the measurement stays
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        text = text[: max(0, columns - 1)]
        sys.stderr.write(_UP * broken_rows([len(before)], columns) + _CLEAR + text)
        sys.stderr.flush()
    return text


def line(subject: str, now: Progress) -> str:
    """`demo ━━━━━─────  pair 3, 1 of at most 30 s`."""
    spent = now.seconds / now.budget_seconds if now.budget_seconds else 0.0
    full = round(_WIDTH * min(1.0, max(now.pairs / now.most, spent)))
    bar = "━" * full + "─" * (_WIDTH - full)
    return f"{escape(subject)[:40]} {bar}  {now.doing}, {now.seconds:.0f} of at most {now.budget_seconds:.0f} s"


def broken_rows(lengths: Iterable[int], columns: int) -> int:
    """Rows that lines of so many cells take beyond one each: a terminal breaks what is drawn when it gets narrower."""
    return sum(max(0, -(-length // max(1, columns)) - 1) for length in lengths)
