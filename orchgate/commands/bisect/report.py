"""The result of a bisection, ready to be shown: what was measured of each commit, notes, and the next command."""

from __future__ import annotations

import os
import sys
from math import expm1

from orchgate.bisect.likelihood import sample
from orchgate.bisect.search import How
from orchgate.commands.shared import options, work_tree
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures import declared
from orchgate.outputs._document import headed, unit_of
from orchgate.outputs._escape import escape
from orchgate.verdict import words
from orchgate.verdict.sign_flip import centre, p_above, p_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.bisect.measure import Bisected, BisectionQuestion
    from orchgate.bisect.search import BisectionEnding, Search
    from orchgate.git.repository import Repository
    from orchgate.verdict.values import Compared

DEFAULT_SECONDS = options.HOUR
LONGEST = 7 * options.DAY
WIDTH = 12  # hex digits of an id, for people
MOST_LISTED = 12  # commits of a range, and skipped ones
_DECIDED = 0.95  # the probability from which on a commit is called slow, or fast
_RARE = 0.01  # p-value of pairs that fit what was found


class BisectRequest(NamedTuple):
    """What the command line asked for; `good` and `bad` as ids, which mean the same tomorrow."""

    good: str
    bad: str
    max_seconds: float
    metric: str
    pipeline: str
    command: tuple[str, ...]

    @property
    def what(self) -> tuple[str, ...]:
        return ("--", *self.command) if self.command else (self.pipeline,) if self.pipeline else ()


class BisectReport(NamedTuple):
    """All there is to show. `subjects` are untrusted text by commit; `path` is where the measurements are kept."""

    asked: BisectRequest
    question: BisectionQuestion
    found: Bisected
    subjects: Mapping[str, str]
    merged: tuple[int, tuple[str, ...]]
    path: str
    warnings: tuple[str, ...] = ()

    @property
    def search(self) -> Search:
        return self.found.search

    @property
    def ending(self) -> BisectionEnding:
        return self.found.ending

    def oid(self, place: int) -> str:
        return self.question.line[place].oid

    def short(self, place: int) -> str:
        return self.oid(place)[:WIDTH]


class MeasuredCommit(NamedTuple):
    """A commit that was measured with the good one. `change` is a fraction, `slow` the probability that it is slow."""

    place: int
    pairs: int
    change: float
    slow: float | None
    level: str


def shown(
    asked: BisectRequest, question: BisectionQuestion, found: Bisected, repository: Repository, path: str
) -> BisectReport:
    """Raises GitError."""
    from orchgate.git import history
    from orchgate.speed import work_trees

    ending, commits = found.ending, question.commits
    listed = [*range(ending.after + 1, ending.last + 1)[-MOST_LISTED:], ending.last, 0, *found.search.skipped]
    places = {row.place for row in measured_commits(found.search)} | set(listed)
    merged = history.merged_commits(repository, question.line[ending.last]) if ending.how is How.FOUND else (0, ())
    subjects = history.subjects(repository, [commits[place] for place in sorted(places)])
    warnings = (
        ()
        if question.prepare
        else tuple(work_trees.editable_installs(repository.root or repository.git_dir, os.environ))
    )
    return BisectReport(asked, question, found, subjects, merged, path, warnings)


def exit_code(how: How) -> int:
    return 0 if how is How.FOUND else 3


def command(asked: BisectRequest, max_seconds: float = 0.0) -> str:
    """The command line that continues."""
    import shlex

    words = ["orchgate", "bisect", "--good", asked.good, "--bad", asked.bad]
    seconds = max_seconds or asked.max_seconds
    words += ["--max-time", options.duration_text(seconds)] if seconds != DEFAULT_SECONDS else []
    words += ["--metric", asked.metric] if asked.metric != "cpu-seconds" else []
    return shlex.join([*words, *asked.what])


def confirmed_step(search: Search, ending: BisectionEnding) -> Compared | None:
    """What was confirmed; the comparison of the ends where nothing can be measured between them."""
    return search.ends if (ending.after, ending.last) == (0, search.last) else search.trial


def is_likely(search: Search, ending: BisectionEnding) -> bool:
    """Whether there is anything to be said of where the step is."""
    known = search.ends is not None and ending.how in (How.OPEN, How.SPENT)
    return known or ending.how in (How.FOUND, How.RANGE, How.UNCONFIRMED)


def measured_commits(search: Search) -> list[MeasuredCommit]:
    """The commits that were measured with the good one, in their order."""
    found = []
    for place in sorted({change.newer for change in search.changes if change.older == 0}):
        seen = sample(search.changes, place)
        slow = search.belief.up_to(place) if search.ends is not None else None
        found.append(MeasuredCommit(place, len(seen.head), expm1(centre(seen)), slow, _level(search, place, slow)))
    return found


def _level(search: Search, place: int, slow: float | None) -> str:
    if place == search.last:
        return "bad"
    if search.ends is not None and place in search.between:
        return "between"
    if slow is None or 1 - _DECIDED < slow < _DECIDED:
        return "open"
    return "slow" if slow >= _DECIDED else "fast"


def notes(found: BisectReport) -> Iterator[str]:
    search, ending = found.search, found.ending
    for place, why in list(search.skipped.items())[:MOST_LISTED]:
        yield f"skipped {found.short(place)}: {why}"
    if len(search.skipped) > MOST_LISTED:
        yield f"skipped {len(search.skipped) - MOST_LISTED} more"
    if search.ends is not None and search.between:
        named = ", ".join(map(found.short, search.between))
        yield f"more than one commit made it slower: {named} is between good and bad; this is the largest step"
    if ending.how is How.FOUND and search.rest:
        yield f"it is not all of the difference; to search the rest: {_rest(found, *search.rest)}"
    if ending.how is How.FOUND and (wrong := _misfits(search, ending)):
        misfits = ", ".join(map(found.short, wrong))
        yield f"the history goes up and down: not every commit fits a single step ({misfits})"
    count, ends = found.merged
    if count:
        commits = counted(count, "commit")
        inner = found.asked._replace(good=ends[0][:WIDTH], bad=ends[1][:WIDTH]) if ends else None
        search_it = f"; to search those: {command(inner)}" if inner else ""
        yield f"it is a merge that brought {commits}{search_it}"
    yield from found.warnings


def _rest(found: BisectReport, before: float, after: float) -> str:
    """The command that searches what became slower elsewhere."""
    if before > after:
        return command(found.asked._replace(bad=found.short(found.ending.after)))
    return command(found.asked._replace(good=found.short(found.ending.last)))


def _misfits(search: Search, ending: BisectionEnding) -> list[int]:
    """Commits whose own pairs clearly say the opposite of what was found."""
    middle, wrong = (search.segment.low + search.segment.high) / 2, []
    for row in measured_commits(search):
        if row.level in ("bad", "between"):
            continue
        seen = sample(search.changes, row.place)
        p = p_below(seen, middle) if row.place >= ending.last else p_above(seen, middle)
        wrong += [row.place] if p <= _RARE and (row.place >= ending.last) != (row.change > expm1(middle)) else []
    return wrong


def following(found: BisectReport) -> str:
    """The next command, to be pasted."""
    import shlex

    base, head = found.short(found.ending.after), found.short(found.ending.last)
    match found.ending.how:
        case How.FOUND:
            return f"git show {head}"
        case How.RANGE:
            return f"git log -p {base}..{head}"
        case How.OPEN:
            return command(found.asked, min(2 * found.asked.max_seconds, LONGEST))
        case How.CANNOT_TELL | How.UNCONFIRMED | How.SPENT:
            again = command(found.asked)
            return again.replace("orchgate bisect", "orchgate bisect --fresh", 1)
        case How.SAME | How.FASTER:
            return shlex.join(["orchgate", "perf", "--base", base, "--head", head, *found.asked.what])


# As text and as JSON


VERSION = 1
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
    yield from (f"  note: {line}" for line in notes(found))
    yield f"  hint: {following(found)}"


def _answer(found: BisectReport) -> Iterator[str]:
    """The answer first, then what it rests on."""
    search, ending = found.search, found.ending
    title = declared.title(found.question.metric.name)
    step = _shown_change(confirmed_step(search, ending))
    match ending.how:
        case How.FOUND:
            yield _named("first slower: ", found, ending.last)
            yield f"{title} {step} against its parent; {_sure(ending)}"
        case How.RANGE:
            yield from _range(found)
            yield f"{title} {step} over all of them; {_sure(ending)}"
        case How.SAME:
            yield "good and bad do not differ: nothing to bisect"
            yield f"bad against good: {title} {_shown_change(search.ends)}"
        case How.FASTER:
            yield "bad is faster than good: nothing to bisect"
            yield f"bad against good: {title} {_shown_change(search.ends)}"
        case How.CANNOT_TELL:
            yield "cannot tell whether bad is slower than good"
            yield f"bad against good: {title} {_shown_change(search.ends)}"
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
    return clip(f"{before}{found.short(place)} {_subject(found, place)}".rstrip(), width)


def _subject(found: BisectReport, place: int) -> str:
    return escape(found.subjects.get(found.oid(place), ""))


def _sure(ending: BisectionEnding) -> str:
    percent = 100 * ending.probability
    return "> 99 % sure" if percent > 99 else f"{percent:.0f} % sure"


def _shown_change(one: Compared | None) -> str:
    if one is None or one.estimate is None:
        return words.UNKNOWN
    interval = "" if one.low is None else f" ({words.interval(one)})"
    return f"{words.percent(one.estimate)}{interval}"


def _how_measured(found: BisectReport) -> str:
    search, earlier = found.search, found.found.earlier
    rows = measured_commits(search)
    parts = [
        f"{len(rows) + 1 if rows else 0} of {counted(len(found.question.line), 'commit')} measured",
        counted(len(search.changes), "pair") + (f" ({earlier} of them before)" if earlier else ""),
        *([f"{len(search.skipped)} skipped"] if search.skipped else []),
        f"{found.found.seconds:.0f} s",
    ]
    return ", ".join(parts)


def _table(found: BisectReport) -> Iterator[str]:
    rows = measured_commits(found.search)
    if not rows:
        return
    title = declared.title(found.question.metric.name)
    places = len(str(found.search.last))
    shape = f"  {{:<{WIDTH}}}  {{:>{places}}}  {{:>5}}  {{:>{len(title)}}}  {{:<7}}  {{}}"
    yield shape.format("commit", "#", "pairs", title, "", "").rstrip()
    yield shape.format(found.short(0), 0, "", "", "good", clip(_subject(found, 0), _SUBJECT)).rstrip()
    for row in rows:
        cells = (found.short(row.place), row.place, row.pairs, words.percent(row.change), row.level)
        yield shape.format(*cells, clip(_subject(found, row.place), _SUBJECT)).rstrip()


def as_json(found: BisectReport) -> None:
    search, ending = found.search, found.ending
    likely = is_likely(search, ending)
    places = range(ending.after + 1, ending.last + 1) if likely else range(0)
    work_tree.print_json(
        headed(
            "bisect",
            {
                "outcome": ending.how.value,
                "first_slower": _commit(found, ending.last) if ending.how is How.FOUND else None,
                "candidates": [_commit(found, place) for place in places[-MOST_LISTED:]],
                "candidate_count": len(places),
                "probability": min(_plain(ending.probability), _MOST_SURE) if likely else None,
                "step": _compared_json(confirmed_step(search, ending) if likely else None),
                "ends": _compared_json(search.ends),
                "metric": found.question.metric.name,
                "subject": found.question.subject,
                "commit_count": len(found.question.line),
                "measured": [_row(found, row) for row in measured_commits(search)],
                "skipped": [{"commit": found.oid(place), "reason": why} for place, why in search.skipped.items()],
                "pair_count": len(search.changes),
                "earlier_pair_count": found.found.earlier,
                "seconds": _plain(found.found.seconds),
                "notes": list(notes(found)),
                "next": following(found),
                "state": found.path,
            },
            VERSION,
        )
    )


def _commit(found: BisectReport, place: int) -> dict[str, object]:
    commit = found.question.line[place]
    return {
        "commit": commit.oid,
        "subject": found.subjects.get(commit.oid),
        "position": place,
        "parents": list(commit.parents),
    }


def _row(found: BisectReport, row: MeasuredCommit) -> dict[str, object]:
    probability = None if row.slow is None else _plain(row.slow)
    rest = {"pair_count": row.pairs, "change": _plain(row.change), "slow_probability": probability, "level": row.level}
    return {**_commit(found, row.place), **rest}


def _compared_json(one: Compared | None) -> dict[str, object] | None:
    if one is None:
        return None
    names = ("estimate", "low", "high", "p", "base", "head")
    fields = {name: None if getattr(one, name) is None else _plain(getattr(one, name)) for name in names}
    return {"answer": one.answer.value, "pair_count": one.pairs, "unit": unit_of(one.name), **fields}


def _plain(value: float) -> float:
    return round(value, 6)
