"""What a bisection found, as text for people and as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orchgate.bisect.search import How
from orchgate.commands.bisect import result
from orchgate.commands.bisect.result import MOST_LISTED, WIDTH
from orchgate.commands.shared.running import print_json
from orchgate.lib.text import clip, counted
from orchgate.measures import declared
from orchgate.outputs._escape import escape
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.bisect.search import BisectionEnding
    from orchgate.commands.bisect.result import BisectReport, MeasuredCommit
    from orchgate.verdict.values import Compared


FORMAT, VERSION = "orchgate-bisect-report", 1
_MOST_SURE = 0.999  # nobody is surer than the model is right
_COLUMNS = 80
_SUBJECT = 32  # characters of a subject in the table
_WORTH_NAMING = 0.2  # the probability from which on the likeliest commit of an open search is named


def as_text(found: BisectReport) -> None:
    sys.stdout.writelines(escape(line) + "\n" for line in _lines(found))


def _lines(found: BisectReport) -> Iterator[str]:
    first, *rest = _answer(found)
    yield first
    yield from (f"  {line}" for line in rest)
    yield f"  {_how_measured(found)}"
    yield from _table(found)
    yield from (f"  note: {line}" for line in result.notes(found))
    yield f"  hint: {result.following(found)}"


def _answer(found: BisectReport) -> Iterator[str]:
    """The answer first, then what it rests on."""
    search, ending = found.search, found.ending
    title = declared.title(found.question.metric.name)
    step = _told(result.step(search, ending))
    match ending.how:
        case How.FOUND:
            yield _named("first slower: ", found, ending.last)
            yield f"{title} {step} against its parent; {_sure(ending)}"
        case How.RANGE:
            yield from _range(found)
            yield f"{title} {step} over all of them; {_sure(ending)}"
        case How.SAME:
            yield "good and bad do not differ: nothing to bisect"
            yield f"bad against good: {title} {_told(search.ends)}"
        case How.FASTER:
            yield "bad is faster than good: nothing to bisect"
            yield f"bad against good: {title} {_told(search.ends)}"
        case How.CANNOT_TELL:
            yield "cannot tell whether bad is slower than good"
            yield f"bad against good: {title} {_told(search.ends)}"
        case How.UNCONFIRMED:
            yield _named("not confirmed: ", found, ending.last)
            yield f"{title} {step} against its parent; the search is {_sure(ending)}"
        case How.OPEN | How.SPENT:
            yield from _open(found)


def _range(found: BisectReport) -> Iterator[str]:
    places = range(found.ending.after + 1, found.ending.last + 1)
    yield f"one of {len(places)} commits made it slower; only the last of them can be measured"
    listed = places[-MOST_LISTED:]
    if len(listed) < len(places):
        yield f"({len(places) - len(listed)} more before these)"
    yield from (_named("", found, place, _COLUMNS - 2) for place in listed)


def _open(found: BisectReport) -> Iterator[str]:
    search, ending = found.search, found.ending
    spent = ending.how is How.SPENT
    yield "not decided: more pairs would not help" if spent else "not decided: the time is used up"
    if search.ends is None:
        yield "whether bad is slower than good is not known yet"
        return
    after, last = search.credible
    left = counted(last - after, "commit")
    yield f"95 % sure: one of the {left} after {found.short(after)}, up to {found.short(last)}"
    if ending.probability >= _WORTH_NAMING:
        yield _named(f"likeliest, {100 * ending.probability:.0f} %: ", found, ending.last, _COLUMNS - 2)


def _named(before: str, found: BisectReport, place: int, width: int = _COLUMNS) -> str:
    """A commit and its subject, on one line of a terminal."""
    return _clipped(f"{before}{found.short(place)} {_subject(found, place)}".rstrip(), width)


def _subject(found: BisectReport, place: int) -> str:
    return escape(found.subjects.get(found.oid(place), ""))


def _clipped(line: str, width: int) -> str:
    return clip(line, width)


def _sure(ending: BisectionEnding) -> str:
    percent = 100 * ending.probability
    return "> 99 % sure" if percent > 99 else f"{percent:.0f} % sure"


def _told(one: Compared | None) -> str:
    if one is None or one.estimate is None:
        return words.UNKNOWN
    interval = "" if one.low is None else f" ({words.interval(one)})"
    return f"{words.percent(one.estimate)}{interval}"


def _how_measured(found: BisectReport) -> str:
    search, earlier = found.search, found.found.earlier
    rows = result.rows(search)
    parts = [
        f"{len(rows) + 1 if rows else 0} of {counted(len(found.question.line), 'commit')} measured",
        counted(len(search.changes), "pair") + (f" ({earlier} of them before)" if earlier else ""),
        *([f"{len(search.skipped)} skipped"] if search.skipped else []),
        f"{found.found.seconds:.0f} s",
    ]
    return ", ".join(parts)


def _table(found: BisectReport) -> Iterator[str]:
    rows = result.rows(found.search)
    if not rows:
        return
    title = declared.title(found.question.metric.name)
    places = len(str(found.search.last))
    shape = f"  {{:<{WIDTH}}}  {{:>{places}}}  {{:>5}}  {{:>{len(title)}}}  {{:<7}}  {{}}"
    yield shape.format("commit", "#", "pairs", title, "", "").rstrip()
    yield shape.format(found.short(0), 0, "", "", "good", _clipped(_subject(found, 0), _SUBJECT)).rstrip()
    for row in rows:
        cells = (found.short(row.place), row.place, row.pairs, words.percent(row.change), row.level)
        yield shape.format(*cells, _clipped(_subject(found, row.place), _SUBJECT)).rstrip()


def as_json(found: BisectReport) -> None:
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


def _commit(found: BisectReport, place: int) -> dict[str, Any]:
    commit = found.question.line[place]
    return {
        "commit": commit.oid,
        "subject": found.subjects.get(commit.oid),
        "position": place,
        "parents": list(commit.parents),
    }


def _row(found: BisectReport, row: MeasuredCommit) -> dict[str, Any]:
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
