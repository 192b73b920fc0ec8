"""What the gate says of pipelines of which too few pairs fit into a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.model import Severity
from orchgate.speed import reference
from orchgate.speed.push_words import failure, undecided
from orchgate.speed.verdicts import Said
from orchgate.verdict import gross, words
from orchgate.verdict.comparison import LOOKS
from orchgate.verdict.estimate import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.speed.question import Question
    from orchgate.speed.sampling import Failure, Sample
    from orchgate.speed.screening import Held
    from orchgate.speed.verdicts import Ran

JOB = "orchgate perf --print-job github, or gitlab, prints the CI job that decides it"


def span(seconds: float) -> str:
    """`0.521 s`, `26.1 s`, `7 min`, `2.5 h`."""
    if seconds < 100:
        return words.seconds(seconds)
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def needed(seconds: float, *, at_least: bool = False) -> str:
    """`a run takes 26.1 s, eight pairs need 7 min`."""
    more = "more than " if at_least else ""
    return f"a run takes {more}{span(seconds)}, eight pairs need {more}{span(2 * LOOKS[0] * seconds)}"


# Before and while head runs


def screening(question: Question, against: Held) -> str:
    about = "" if against.seconds is None else f", about {span(against.seconds)}"
    return (
        f"one run of {question.pipeline} at {question.head[:7]}{about}, held to {against.told}: eight pairs do not fit"
    )


def confirming(question: Question, why: str, seconds: float) -> str:
    sides = f"{question.head[:7]} against {(question.base or '')[:7]}"
    return f"{why}: measuring {question.pipeline}, {sides}, for up to {seconds:.0f} s more"


# Suspicions: what is suspicious, as half a sentence


def suspected(against: Held, run: Sample | None, names: Sequence[str], seconds: float) -> str:
    """`one run of head, 41.2 s, is beyond 14 recorded runs of base's tree in wall time (25.9 s to 26.4 s)`."""
    if run is None:
        slowest = "" if against.slowest is None else f": the slowest of {against.told} took {span(against.slowest)}"
        return f"one run of head was ended after {span(seconds)}{slowest}"
    told = "; ".join(_beyond(against, name, run.metrics.get(name)) for name in names)
    return f"one run of head, {span(seconds)}, looks worse than {against.told} in {told}"


def _beyond(against: Held, name: str, value: float | None) -> str:
    """`wall time (41.2 s against 26.1 s)`."""
    known = reference.samples(against.recorded.runs).get(name) or (against.stored and against.stored.samples.get(name))
    if not known or value is None:
        return words.title(name)
    return f"{words.title(name)} ({words.amount(name, value)} against {words.amount(name, median(known))})"


def failed_alone(one: Failure) -> str:
    return f"one run of head failed ({failure(one)})"


def unfinished(base: float, head: float) -> str:
    return f"the first run of head was not over after {span(head)}, and base took {span(base)}"


# Answers


def unsuspicious(question: Question, against: Held, seconds: float, policy: str) -> Said:
    """PRF004: a note where enough runs are on record to see a change that is refused, unless the undecided blocks."""
    run = f"one run of head, {span(seconds)}, screened against {against.told} on this kind of machine"
    lost = f" ({'; '.join(against.recorded.problems)})" if against.recorded.problems else ""
    if question.config.performance.benchmarks.file:
        lost += "; named benchmarks were not judged"
    if against.shows_spread:
        told = f"{run}: nothing suspicious, which is no proof{lost}"
        if policy == "block":
            return _open(question, told, against.seconds, policy)
        return Said("PRF004", f"{question.pipeline}: {told}", "", Severity.NOTE)
    seen = f"{gross.FACTOR:g} times the slowest of them would have been seen, less only from ten recorded runs on"
    return _open(question, f"{run}: {seen}{lost}", against.seconds, policy)


def cleared(question: Question, why: str, pairs: int) -> Said:
    message = f"{question.pipeline}: {why}; {_pairs(pairs)} cleared it"
    return Said("PRF004", message, "", Severity.NOTE)


def not_borne_out(question: Question, why: str, pairs: int) -> Said:
    message = f"{question.pipeline}: {why}; {_pairs(pairs)} did not bear that out: base takes as much now"
    return Said("PRF004", message, "", Severity.NOTE)


def still_open(question: Question, why: str, seconds: float, pairs: int, *, policy: str) -> Said:
    tried = f"; {_pairs(pairs)} could neither confirm nor clear it" if pairs else ""
    return _open(question, f"{why}{tried}", seconds, policy)


def not_measured(question: Question, against: Held, budget: float, policy: str) -> Said:
    """Nothing was run."""
    assert against.seconds is not None
    room = f"performance.budget-seconds allows {budget:g} s"
    if against.told:
        why = "a run is longer than a push may take"
    else:
        lost = f" ({'; '.join(against.recorded.problems)})" if against.recorded.problems else ""
        why = f"no run of base is on record on this kind of machine to screen one of head against{lost}"
    return _open(
        question, f"not measured: {room}, and {why}", against.seconds, policy, at_least=against.recorded.at_least
    )


def too_long(question: Question, ran: Sequence[Ran], budget: float, policy: str) -> Said:
    """The first runs did not end, or hardly."""
    why = f"too few runs fit into the {budget:g} s of performance.budget-seconds"
    seconds, at_least = (ran[0].seconds, ran[0].at_least) if ran else (None, False)
    return _open(question, why, seconds, policy, at_least=at_least)


def in_ci(question: Question, said: Said, seconds: float | None) -> Said:
    """A finding that a few pairs left open, with what decides it."""
    why = said.message if seconds is None else f"{said.message}; {needed(seconds)}"
    return said._replace(message=f"{why}; {JOB}", hint=question.settled(seconds))


def _open(question: Question, why: str, seconds: float | None, policy: str, *, at_least: bool = False) -> Said:
    long = "" if seconds is None else f"; {needed(seconds, at_least=at_least)}"
    return undecided(question, f"{why}{long}; {JOB}", policy, question.settled(seconds))


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"
