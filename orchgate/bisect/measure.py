"""Measures what a search for the commit that made it slower asks for, until it knows or the time is used up."""

from __future__ import annotations

import contextlib
import random
from itertools import pairwise

from orchgate.bisect import progress
from orchgate.bisect.search import Ask, BisectionEnding, How, Search, Why
from orchgate.errors import OrchgateError
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures import declared
from orchgate.speed import sampling, work_trees
from orchgate.speed.pair_runner import Progress
from orchgate.speed.sampling import OutOfTime
from orchgate.verdict.values import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.bisect.progress import BisectionState
    from orchgate.git.history import LineCommit
    from orchgate.git.repository import Repository
    from orchgate.runs.stages import Stage
    from orchgate.speed.sampling import Harness, MeasuredRun, Side
    from orchgate.verdict.values import Metric

_LONGER = 5.0  # times the longest run so far, and a second more: then a run of a commit between the ends is ended
_TRIES = 2  # of a run that fails, to tell the broken from the flaky
_TELLING = 0.5  # seconds between two words about how far it is
_ANY = ("true",)  # stands for what runs, where only a work tree is wanted


class BisectionQuestion(NamedTuple):
    """What is asked: the line of commits from the good one to the bad one, what runs, and what of it counts.

    `stages` are those of the pipeline as the good commit defines it, or the one that a command line is.
    """

    line: tuple[LineCommit, ...]
    stages: tuple[Stage, ...]
    subject: str
    folder: str
    prepare: tuple[str, ...]
    metric: Metric
    sure: float

    @property
    def commits(self) -> tuple[str, ...]:
        return tuple(commit.oid for commit in self.line)

    @property
    def possible(self) -> tuple[bool, ...]:
        """Which commits changed any file."""
        trees = [commit.tree for commit in self.line]
        return (False, *(tree != before for before, tree in pairwise(trees)))


class Bisected(NamedTuple):
    """How it ended, with all that was measured. `earlier` pairs were there before; `seconds` are those of this time."""

    search: Search
    ending: BisectionEnding
    earlier: int
    seconds: float


class _Unusable(Exception):
    """A commit that cannot be measured, and why."""

    def __init__(self, commit: int, why: str) -> None:
        super().__init__(why)
        self.commit = commit
        self.why = why


def stages_of(
    repository: Repository,
    commit: str,
    environ: Mapping[str, str],
    *,
    pipeline: str,
    command: Sequence[str],
    folder: str,
) -> tuple[Stage, ...]:
    """What is run at every commit, as this one defines it. Raises ConfigError, GitError."""
    with work_trees.opened(
        repository, {"good": commit}, environ=environ, pipeline=pipeline, command=command, folder=folder
    ) as (side,):
        return side.stages


def bisect(
    repository: Repository,
    question: BisectionQuestion,
    state: BisectionState,
    environ: Mapping[str, str],
    *,
    max_seconds: float,
    tell: Callable[[Progress], None] | None = None,
) -> Bisected:
    """Goes on with a bisection until it is answered, or until `max_seconds` are over.

    Raises OrchgateError where the good or the bad commit cannot be measured, or the state not be kept;
    KeyboardInterrupt when a signal asked for an end, with nothing left running and all whole pairs kept.
    """
    search = Search(question.possible, question.metric, question.sure)
    longest = progress.replay(state, search)
    earlier = len(search.changes)
    start = working_time.now()
    bisection = _BisectionRun(
        _BisectionTask(repository, question, environ, start, start + max_seconds, tell), search, state, longest
    )
    with contextlib.ExitStack() as stack:
        ending = bisection.run(stack)
    return Bisected(search, ending, earlier, working_time.now() - start)


class _BisectionTask(NamedTuple):
    """What stays the same while a bisection is measured."""

    repository: Repository
    question: BisectionQuestion
    environ: Mapping[str, str]
    start: float
    deadline: float
    tell: Callable[[Progress], None] | None


class _BisectionRun:
    """A bisection that is being measured."""

    def __init__(self, task: _BisectionTask, search: Search, state: BisectionState, longest: float) -> None:
        self._task = task
        self._question = task.question
        self._search = search
        self._state = state
        self._longest = longest  # wall seconds of a run so far
        self._doing, self._reported = "", 0.0
        self._good: Side | None = None
        self._warm: set[int] = set()

    def run(self, stack: contextlib.ExitStack) -> BisectionEnding:
        while isinstance(ask := self._search.next(), Ask):
            if working_time.now() >= self._task.deadline:
                return self._search.standing(How.OPEN)
            try:
                self._good = self._good or stack.enter_context(self._side(0))
                self._pairs(ask)
            except _Unusable as unusable:
                self._skip(ask, unusable)
            except OutOfTime:
                return self._search.standing(How.OPEN)
        return ask

    def _skip(self, ask: Ask, unusable: _Unusable) -> None:
        if unusable.commit == 0 or ask.why is Why.ENDS:
            which = "good" if unusable.commit == 0 else "bad"
            oid = self._question.commits[unusable.commit][:12]
            raise OrchgateError(
                f"{which} ({oid}) cannot be measured: {unusable.why}", "name another commit as " + which
            )
        self._state = progress.add_skipped(self._state, unusable.commit, unusable.why)
        self._search.skip(unusable.commit, unusable.why)

    @contextlib.contextmanager
    def _side(self, commit: int) -> Iterator[Side]:
        """A commit's work tree, with what the good one's definition runs there."""
        oid = self._question.commits[commit]
        with work_trees.opened(
            self._task.repository,
            {oid[:12]: oid},
            environ=self._task.environ,
            command=_ANY,
            folder=self._question.folder,
            prepare=self._question.prepare,
        ) as (side,):
            yield side._replace(stages=self._question.stages)

    def _pairs(self, ask: Ask) -> None:
        """Measures what is asked for, as long as the search asks for the same."""
        with contextlib.ExitStack() as stack:
            arms = {number: self._opened(number, stack) for number in (ask.older, ask.newer)}
            harness = stack.enter_context(
                sampling.open_harness(tuple(arms.values()), self._task.environ, tick=self._tick)
            )
            for number, side in arms.items():
                self._prepare(harness, number, side)
            self._warm &= {0}
            while working_time.now() < self._task.deadline:
                self._say(ask)
                pair = self._pair(harness, ask, arms)
                if harness.session.loop.signals:
                    raise KeyboardInterrupt
                self._state = progress.add_pair(self._state, ask, pair, self._longest)
                self._search.add(ask, pair)
                if self._search.next() != ask:
                    break

    def _opened(self, number: int, stack: contextlib.ExitStack) -> Side:
        if number == 0 and self._good is not None:
            return self._good
        try:
            return stack.enter_context(self._side(number))
        except OrchgateError as error:
            raise _Unusable(number, f"no work tree: {error.message}") from error

    def _prepare(self, harness: Harness, number: int, side: Side) -> None:
        self._doing = f"preparing {side.label}"
        left = max(0.001, self._task.deadline - working_time.now())
        failed = sampling.prepare(harness, side, self._question.prepare, left)
        if harness.session.loop.signals:
            raise KeyboardInterrupt
        if failed and working_time.now() >= self._task.deadline:
            raise OutOfTime
        if failed:
            raise _Unusable(
                number,
                f"{failed.subject} fails ({failed.detail})" + (f": {failed.last_line}" if failed.last_line else ""),
            )
        if number == 0 and self._good is not None:
            self._good = self._good._replace(keep=None)

    def _pair(self, harness: Harness, ask: Ask, arms: Mapping[int, Side]) -> Pair:
        """One run of each, in an order that a coin decides. What was stopped meanwhile does not count."""
        head_first = random.Random(f"{self._state.seed} {len(self._search.changes)}").random() < 0.5  # noqa: S311 -- a coin, not a secret
        order = (ask.newer, ask.older) if head_first else (ask.older, ask.newer)
        for number in order:
            if number not in self._warm:
                self._once(harness, ask, number, arms[number])
                self._warm.add(number)
        for _ in range(sampling.MOST_DISTURBED):
            begun = working_time.mark()
            ran = {number: self._once(harness, ask, number, arms[number]) for number in order}
            if not begun.disturbed:
                name = self._question.metric.name
                base, head = ({name: ran[number].metrics[name]} for number in (ask.older, ask.newer))
                return Pair(base, head, head_first)
        raise sampling.disturbed()

    def _once(self, harness: Harness, ask: Ask, number: int, side: Side) -> MeasuredRun:
        """A run that went well. Raises _Unusable, OutOfTime, KeyboardInterrupt."""
        why = ""
        for _ in range(_TRIES):
            limit = self._limit(ask)
            try:
                ran = sampling.once(harness, side, min(self._task.deadline, limit or self._task.deadline))
            except OutOfTime:
                if working_time.now() >= self._task.deadline:
                    raise
                why = f"a run was not over after {_LONGER:g} times as long as the longest one so far, plus a second"
                continue
            why = _problem(ran, self._question.metric.name)
            if not why:
                self._longest = max(self._longest, ran.metrics["wall_seconds"])
                return ran
        if harness.session.loop.signals:  # whoever asked for an end did not ask to skip a commit
            raise KeyboardInterrupt
        raise _Unusable(number, why)

    def _limit(self, ask: Ask) -> float | None:
        """When a run of a commit between the ends has to be over; None where it is not known what they take."""
        if ask.why is Why.ENDS or not self._longest:
            return None
        return working_time.now() + _LONGER * self._longest + 1.0

    def _say(self, ask: Ask) -> None:
        commits = self._question.commits
        words_ = {
            Why.ENDS: "comparing good and bad",
            Why.VISIT: f"visiting {commits[ask.newer][:12]}",
            Why.TRIAL: f"confirming {commits[ask.newer][:12]}",
        }
        self._doing = f"{words_[ask.why]}, pair {len(self._search.changes) + 1}"

    def _tick(self) -> float | None:
        """Tells how far it is; in how many seconds to do so again."""
        if self._task.tell is None:
            return None
        now = working_time.now()
        if now - self._reported >= _TELLING:
            self._reported = now
            whole = self._task.deadline - self._task.start
            self._task.tell(Progress(self._doing, 0, 1, now - self._task.start, whole))
        return self._reported + _TELLING - now


def _problem(ran: MeasuredRun, metric: str) -> str:
    """Why a run does not count; "" where it does."""
    if ran.failure:
        last_line = f": {ran.failure.last_line}" if ran.failure.last_line else ""
        return f"stage {ran.failure.stage} fails ({ran.failure.detail}){last_line}"
    if metric in ran.lower_bounds:
        return f"{declared.title(metric)} is a lower bound: {ran.lower_bounds[metric]}"
    if not ran.metrics.get(metric):
        return f"{declared.title(metric)} was not measured"
    return ""
