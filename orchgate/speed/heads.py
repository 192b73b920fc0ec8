"""What the pushes of one branch say together: heads of which none is surely slower may be it in a row.

Each head contributes one e-value, of all its pairs, whichever way its own comparison ended; see `metrics.betting`. The
row begins anew with another base, definition or machine, and after a head that was surely slower.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 64  # heads; of more, the oldest ones are taken together


class Head(NamedTuple):
    tree: str
    log_e: float


def added(heads: Iterable[Head], head: Head) -> tuple[Head, ...]:
    """A row with a head that may be in it already: then what is known of it now counts."""
    row = [one for one in heads if one.tree != head.tree]
    row.append(head)
    while len(row) > _MOST:
        row[:2] = [Head("", row[0].log_e + row[1].log_e)]
    return tuple(row)


def encoded(heads: Iterable[Head]) -> bytes:
    return json.dumps([[head.tree, head.log_e] for head in heads]).encode("ascii")


def decoded(data: bytes | None) -> tuple[Head, ...]:
    """A row as it was encoded; none for anything else."""
    if data is None:
        return ()
    try:
        return tuple(Head(str(tree), float(log_e)) for tree, log_e in json.loads(data))
    except (ValueError, TypeError):
        return ()
