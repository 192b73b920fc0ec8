"""The result of a bisection, ready to be shown: what was measured of each commit, notes, and the next command."""

from __future__ import annotations

import os
from math import expm1
from typing import TYPE_CHECKING, NamedTuple

from orchgate.bisect.likelihood import sample
from orchgate.bisect.search import How
from orchgate.commands.shared import durations
from orchgate.lib.text import counted
from orchgate.verdict.sign_flip import centre, p_above, p_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.bisect.measure import Bisected, BisectionQuestion
    from orchgate.bisect.search import BisectionEnding, Search
    from orchgate.git.repository import Repository
    from orchgate.verdict.values import Compared

DEFAULT_SECONDS = durations.HOUR
LONGEST = 7 * durations.DAY
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
    from orchgate.speed import differences

    ending, commits = found.ending, question.commits
    listed = [*range(ending.after + 1, ending.last + 1)[-MOST_LISTED:], ending.last, 0, *found.search.skipped]
    places = {row.place for row in rows(found.search)} | set(listed)
    merged = history.merged_commits(repository, question.line[ending.last]) if ending.how is How.FOUND else (0, ())
    subjects = history.subjects(repository, [commits[place] for place in sorted(places)])
    warnings = (
        ()
        if question.prepare
        else tuple(differences.editable_installs(repository.root or repository.git_dir, os.environ))
    )
    return BisectReport(asked, question, found, subjects, merged, path, warnings)


def exit_code(how: How) -> int:
    return 0 if how is How.FOUND else 3


def command(asked: BisectRequest, max_seconds: float = 0.0) -> str:
    """The command line that continues."""
    import shlex

    words = ["orchgate", "bisect", "--good", asked.good, "--bad", asked.bad]
    seconds = max_seconds or asked.max_seconds
    words += ["--max-time", durations.shown(seconds)] if seconds != DEFAULT_SECONDS else []
    words += ["--metric", asked.metric] if asked.metric != "cpu-seconds" else []
    return shlex.join([*words, *asked.what])


def step(search: Search, ending: BisectionEnding) -> Compared | None:
    """What was confirmed; the comparison of the ends where nothing can be measured between them."""
    return search.ends if (ending.after, ending.last) == (0, search.last) else search.trial


def is_likely(search: Search, ending: BisectionEnding) -> bool:
    """Whether there is anything to be said of where the step is."""
    known = search.ends is not None and ending.how in (How.OPEN, How.SPENT)
    return known or ending.how in (How.FOUND, How.RANGE, How.UNCONFIRMED)


def rows(search: Search) -> list[MeasuredCommit]:
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
        yield f"the history goes up and down: {', '.join(map(found.short, wrong))} does not fit a single step"
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
    for row in rows(search):
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
