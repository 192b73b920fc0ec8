"""What a bisection found, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.bisect.search import How
from orchgate.commands.bisect import result
from orchgate.commands.bisect.result import MOST_LISTED
from orchgate.commands.shared.running import print_json

if TYPE_CHECKING:
    from orchgate.commands.bisect.result import Row, Shown
    from orchgate.verdict.values import Compared

FORMAT, VERSION = "orchgate-bisect-report", 1
_MOST_SURE = 0.999  # nobody is surer than the model is right


def as_json(found: Shown) -> None:
    from orchgate import __version__

    search, ending = found.search, found.ending
    likely = result.is_likely(search, ending)
    places = range(ending.after + 1, ending.last + 1) if likely else range(0)
    print_json(
        {
            "format": FORMAT,
            "version": VERSION,
            "orchgate": __version__,
            "outcome": ending.how.value,
            "first_slower": _commit(found, ending.last) if ending.how is How.FOUND else None,
            "candidates": [_commit(found, place) for place in places[-MOST_LISTED:]],
            "candidate_count": len(places),
            "probability": min(_plain(ending.probability), _MOST_SURE) if likely else None,
            "step": _compared(result.step(search, ending) if likely else None),
            "ends": _compared(search.ends),
            "metric": found.question.metric.name,
            "subject": found.question.subject,
            "commit_count": len(found.question.line),
            "measured": [_row(found, row) for row in result.rows(search)],
            "skipped": [{"commit": found.oid(place), "reason": why} for place, why in search.skipped.items()],
            "pair_count": len(search.changes),
            "earlier_pair_count": found.found.earlier,
            "seconds": _plain(found.found.seconds),
            "notes": list(result.notes(found)),
            "next": result.following(found),
            "state": found.path,
        }
    )


def _commit(found: Shown, place: int) -> dict[str, Any]:
    commit = found.question.line[place]
    return {
        "commit": commit.oid,
        "subject": found.subjects.get(commit.oid),
        "position": place,
        "parents": list(commit.parents),
    }


def _row(found: Shown, row: Row) -> dict[str, Any]:
    probability = None if row.slow is None else _plain(row.slow)
    rest = {"pair_count": row.pairs, "change": _plain(row.change), "slow_probability": probability, "level": row.level}
    return {**_commit(found, row.place), **rest}


def _compared(one: Compared | None) -> dict[str, Any] | None:
    if one is None:
        return None
    names = ("estimate", "low", "high", "p", "base", "head")
    fields = {name: None if getattr(one, name) is None else _plain(getattr(one, name)) for name in names}
    return {"answer": one.answer.value, "pair_count": one.pairs, **fields}


def _plain(value: float) -> float:
    return round(value, 6)
