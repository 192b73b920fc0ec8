"""How many rows of a terminal lines take that were drawn while it was wider: it breaks them when it gets narrower."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def broken(lengths: Iterable[int], columns: int) -> int:
    """Rows that lines of so many cells take beyond one each."""
    return sum(max(0, -(-length // max(1, columns)) - 1) for length in lengths)
