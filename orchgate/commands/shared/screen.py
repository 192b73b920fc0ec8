"""What standard output can show: how wide it is, and which characters it has."""

from __future__ import annotations

import os
import sys

from orchgate.lib import bars
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TextIO

_GLUE = "\x00"  # in place of a space that is not broken at; what is printed holds none
NARROWEST = 20  # columns; what calls itself narrower does not know


class Screen(NamedTuple):
    """`width` is None where lines are not cut: in a pipe or a file."""

    width: int | None
    glyphs: bars.Glyphs


PLAIN = Screen(None, bars.BLOCKS)


def here() -> Screen:
    """Standard output as it is now: a window may have changed its size since."""
    width = _columns(sys.stdout) if sys.stdout.isatty() else 0
    return Screen(width if width >= NARROWEST else None, bars.glyphs("ascii" if _is_ascii() else sys.stdout.encoding))


def _is_ascii() -> bool:
    """Whether somebody wants no other characters: Python itself takes this locale for one of UTF-8."""
    said = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return said in ("C", "POSIX")


def _columns(stream: TextIO) -> int:
    """As wide as the terminal says; what the environment says where it says nothing."""
    try:
        own = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no descriptor, or not of a terminal
        own = 0
    said = os.environ.get("COLUMNS", "")
    return own or (int(said) if said.isdecimal() and len(said) < 5 else 0)


def wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """A line as it is, or broken between words where the terminal would break it anywhere; then so far indented.

    A command in backquotes stays whole, to be copied, unless it is too long for a line of its own.
    """
    if width is None or len(text) <= width:
        return [text]
    import textwrap

    whole = "`".join(part.replace(" ", _GLUE) if nth % 2 else part for nth, part in enumerate(text.split("`")))
    later = " " * indent
    lines = textwrap.wrap(whole, width, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]
