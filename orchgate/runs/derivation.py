"""Whether a manifest of ours is what its journal adds up to. Alone it is only somebody's word."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError
from orchgate.runs import journal, locate, sittings, state
from orchgate.runs.decode import HINTS, Flaw, dotted, parse, shorten
from orchgate.runs.validate import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MAX_BYTES = journal.MAX_BYTES
_WRITTEN = ("run", "resume", "finish")  # the events after which our runner writes a manifest
_MOST_MOMENTS = 20  # of each kind that are looked at, of those at the very same time
NOT_OURS = "is of another format than the journal of ours beside it"


def difference(document: Mapping[str, Any], data: bytes) -> Problem | None:
    """Where a manifest first differs from what the bytes of its journal add up to, and how; None where it does not.

    A run writes its manifest when it begins and when it ends: one that does not claim to have succeeded may be of
    an earlier moment of the journal.
    """
    try:
        events = journal.parse(data).events
        whole = state.manifest(events)
    except OrchgateError as error:
        return Problem((), f"its journal cannot be read: {error.message}")
    if _same(document, whole) or (_is_older(document, events) and _same(document, state.legacy(whole))):
        return None
    if document.get("status") != "succeeded":
        moments = [number for number, event in enumerate(events, 1) if event["at"] == document.get("updated_at")]
        likely = [number for number in moments if events[number - 1]["event"] in _WRITTEN][-_MOST_MOMENTS:]
        if any(_same(document, state.manifest(events[:number])) for number in (*likely, *moments[-_MOST_MOMENTS:])):
            return None
    return next(_differences(document, _as_read(whole), ()), Problem((), "is not what its journal adds up to"))


def _is_older(document: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether both were written before time away was told from time worked."""
    return "away_seconds" not in document and not any(sittings.counted(event) for event in events)


def require(document: Mapping[str, Any], read: Callable[[], bytes | None]) -> None:
    """Refuses a manifest that is not what its journal adds up to; one of another format has none of ours beside it.

    `read` gives the journal's bytes, None where there is none. Raises OrchgateError, whose message continues "the
    manifest …", and what `read` raises.
    """
    data = read()
    if not locate.is_derived(document):
        if data is not None and data.startswith(locate.BEGINNING):
            raise OrchgateError(NOT_OURS, HINTS[Flaw.SCHEMA])
        return
    if data is None:
        raise OrchgateError("has no journal beside it, and alone proves nothing", HINTS[Flaw.SCHEMA])
    problem = difference(document, data)
    if problem is not None:
        raise OrchgateError(f"contradicts its journal: {sentence(problem)}", HINTS[Flaw.SCHEMA])


def require_file(manifest: str, limit: int) -> dict[str, Any]:
    """The manifest at a place on disk, of any format, held against the journal beside it. `limit` in bytes.

    Raises OrchgateError.
    """
    document = parse(locate.read_file(manifest, limit), limit)
    require(document, lambda: beside(manifest))
    return document


def beside(manifest: str) -> bytes | None:
    """The journal beside a manifest on disk, None for none. Raises OrchgateError when it cannot be read."""
    path = locate.journal_of(manifest)
    return locate.read_file(path, MAX_BYTES) if os.path.lexists(path) else None


def _same(document: Mapping[str, Any], derived: Mapping[str, Any]) -> bool:
    return document == derived or document == _as_read(derived)


def _as_read(derived: Mapping[str, Any]) -> dict[str, Any]:
    import json

    read: dict[str, Any] = json.loads(state.render(dict(derived)))
    return read


def _differences(said: object, real: object, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """The places at which two values differ, in the order of the journal's."""
    if isinstance(said, dict) and isinstance(real, dict):
        for key in (*real, *(key for key in said if key not in real)):
            if key not in said:
                yield Problem(path, f"leaves out {shorten(key)}, which its journal has")
            elif key not in real:
                yield Problem((*path, key), "is nothing its journal knows of")
            else:
                yield from _differences(said[key], real[key], (*path, key))
    elif isinstance(said, list) and isinstance(real, list) and len(said) == len(real):
        for number, pair in enumerate(zip(said, real, strict=True)):
            yield from _differences(*pair, (*path, number))
    elif said != real or type(said) is not type(real):
        yield Problem(path, f"says {_shown(said)}, its journal {_shown(real)}")


def _shown(value: object) -> str:
    import json

    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return shorten(json.dumps(value, ensure_ascii=False), 60)


def sentence(problem: Problem) -> str:
    """A difference in one sentence."""
    where = shorten(dotted(problem.path))
    return f"{where} {problem.message}" if where else problem.message
