"""Text for people: counts, lines cut to a length, aligned columns; and the median that such text often shows."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun: "1 pair", "1,204 pairs". `many` is for plurals that do not end in "s" alone."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_seconds(seconds: float) -> str:
    """Seconds in three digits or so: `95.4 s`, `0.55 s`, `3 ms`."""
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def clip(text: str, limit: int) -> str:
    """A text of at most `limit` characters; an ellipsis stands for what was cut off."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[list[str]]:
    """The cells of each row padded to the width of their column; the columns `right`, from 0, end at the same place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]


def median(values: Iterable[float]) -> float:
    """The middle of some values, at least one."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def is_like(text: str, pattern: str) -> bool:
    """Whether a text is of a pattern, in which `*` stands for any characters and `?` for one, as in OpenSSH's files."""
    at = after = matched = 0
    star = -1
    while at < len(text):
        if after < len(pattern) and pattern[after] == "*":
            star, matched, after = after, at, after + 1
        elif after < len(pattern) and pattern[after] in ("?", text[at]):
            at, after = at + 1, after + 1
        elif star >= 0:
            matched, after = matched + 1, star + 1
            at = matched
        else:
            return False
    return not pattern[after:].strip("*")


def covers_pattern(pattern: str, other: str) -> bool:
    """Whether one such pattern holds for all that another one holds for; a `?` stands for no `*`."""
    return pattern == other or (is_like(other, pattern) and not ("*" in other and "?" in pattern))
