"""What a bisection has measured, as JSON Lines in the repository's own folder: a line a pair, synced, so that whoever
was interrupted goes on where it stopped. A last line that was never finished did not happen.
"""

from __future__ import annotations

import contextlib
import os
from math import isfinite

from orchgate.bisect.search import Ask, Why
from orchgate.errors import OrchgateError
from orchgate.lib import files, locks
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.verdict.values import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.bisect.search import Search

VERSION = 1
FORMAT = "orchgate-bisect"
MAX_BYTES = 16 << 20
MOST_KEPT = 20  # bisections
_PATIENCE = 3.0  # seconds for the last processes of one that was interrupted
_FRESH = "the same command with --fresh starts again"


class BisectionState(NamedTuple):
    """An open state: who holds it is alone with its question. `seed` decides the coins, `lines` were there before."""

    path: str
    descriptor: int
    seed: str
    lines: tuple[Mapping[str, Any], ...]
    torn: bool
    commits: tuple[str, ...]
    metric: str


@contextlib.contextmanager
def opened(
    folder: str, asked: Mapping[str, str], commits: tuple[str, ...], metric: str, *, fresh: bool
) -> Iterator[BisectionState]:
    """The state of a question, which `asked` says in full; an empty one where it is new, or is to begin `fresh`.

    The question is about one metric of `commits`, the good one first.

    Raises WriteError, locks.Busy, OrchgateError for a state that is damaged.
    """
    files.make_folders(folder)
    path = os.path.join(folder, _name(asked))
    descriptor = files.open_appending(path)
    try:
        try:
            found, torn = _begun(path, descriptor, asked, fresh=fresh)
        except OSError as error:
            raise files.failure(path, error) from error
        yield BisectionState(path, descriptor, found[0]["seed"], found[1:], torn, commits, metric)
    finally:
        os.close(descriptor)


def _begun(
    path: str, descriptor: int, asked: Mapping[str, str], *, fresh: bool
) -> tuple[tuple[Mapping[str, Any], ...], bool]:
    """Header and lines of a state, once it is ours alone, and whether it ends torn. Raises OrchgateError, OSError."""
    try:
        locks.take(descriptor, path, _PATIENCE)
    except locks.Busy as error:
        raise locks.Busy("another process is running this bisection", "wait until that one has ended") from error
    if fresh:
        os.ftruncate(descriptor, 0)
    lines: tuple[Mapping[str, Any], ...] = _read(path, asked)
    torn = files.ends_torn(descriptor)
    if not lines:
        lines = ({"format": FORMAT, "version": VERSION, **asked, "seed": os.urandom(8).hex()},)
        _append(path, descriptor, lines[0], torn=torn)
        torn = False
        _prune(os.path.dirname(path))
    return lines, torn


def _name(asked: Mapping[str, str]) -> str:
    return sha256_hex(ascii(sorted(asked.items())))[:16] + ".jsonl"


def _read(path: str, asked: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """Header and lines; nothing of a file whose header was never finished. Raises OrchgateError, OSError."""
    import json

    found: list[dict[str, Any]] = []
    for number, line in files.split(files.read(path, MAX_BYTES)).whole:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise damaged(path, number)
        found.append(value)
    if found:
        head = found[0]
        if head.get("format") != FORMAT or head.get("version") != VERSION or not isinstance(head.get("seed"), str):
            raise OrchgateError(f"{path} is not a bisection of this version of orchgate", _FRESH)
        if any(head.get(name) != value for name, value in asked.items()):
            raise damaged(path, 1)
    return tuple(found)


def damaged(path: str, number: int) -> OrchgateError:
    return OrchgateError(f"{path}: line {number} is damaged", _FRESH)


def _prune(folder: str) -> None:
    """Takes away the oldest states; one that somebody holds is young."""
    with contextlib.suppress(OSError):
        found = [entry.path for entry in os.scandir(folder) if entry.name.endswith(".jsonl")]
        for old in sorted(found, key=os.path.getmtime)[:-MOST_KEPT]:
            os.unlink(old)


def replay(state: BisectionState, search: Search) -> float:
    """Takes into a search what was measured before; the wall seconds of the longest run among that.

    Raises OrchgateError for a line that cannot be.
    """
    longest = 0.0
    places = {commit: number for number, commit in enumerate(state.commits)}
    for number, line in enumerate(state.lines, 2):
        try:
            if "skipped" in line:
                search.skip(places[line["skipped"]], str(line["because"]))
                continue
            ask = Ask(Why(line["why"]), places[line["older"]], places[line["newer"]])
            base, head = ({state.metric: float(line[side])} for side in ("base", "head"))
            whole = all(isfinite(value) and value > 0 for value in (*base.values(), *head.values()))
            if not whole or not ask.older < ask.newer:
                raise damaged(state.path, number)
            search.add(ask, Pair(base, head, line["head_first"] is True))
            longest = max(longest, float(line.get("longest", 0.0)))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(state.path, number) from error
    return longest


def add_pair(state: BisectionState, ask: Ask, pair: Pair, longest: float) -> BisectionState:
    """Keeps a pair; the longest run so far took so many wall seconds. The state as it is then. Raises WriteError."""
    line = {"why": ask.why.value, "older": state.commits[ask.older], "newer": state.commits[ask.newer]}
    values = {"base": pair.base[state.metric], "head": pair.head[state.metric], "head_first": pair.head_first}
    return _added(state, {**line, **values, "longest": round(longest, 6)})


def add_skipped(state: BisectionState, commit: int, because: str) -> BisectionState:
    """Keeps that a commit cannot be measured. Raises WriteError."""
    return _added(state, {"skipped": state.commits[commit], "because": because})


def _added(state: BisectionState, line: Mapping[str, Any]) -> BisectionState:
    _append(state.path, state.descriptor, line, torn=state.torn)
    return state._replace(torn=False)


def _append(path: str, descriptor: int, line: Mapping[str, Any], *, torn: bool) -> None:
    import json

    files.append(descriptor, json.dumps(line, separators=(",", ":")).encode("ascii"), path, sync=True, torn=torn)
