"""What a push's measurement needs and what it brings, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import Unreadable
from orchgate.lib import working_time
from orchgate.runner.environment import unhooked
from orchgate.speed import reference, screening
from orchgate.verdict import baseline
from orchgate.verdict.policy import policy as policy_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.speed.measurement import Measurement
    from orchgate.speed.question import Question
    from orchgate.speed.remembered import Turn
    from orchgate.speed.screening import Held
    from orchgate.speed.verdicts import Ran, Said
    from orchgate.verdict.baseline import Record
    from orchgate.verdict.values import Policy

MOST_SECONDS = 240.0  # servers drop connections that are idle for longer


class Found(NamedTuple):
    """What a measurement brought. `conclusive`: measuring the same trees again would bring nothing new.

    `runs` counts runs of head that were held to what is on record. `measurement` is that by pairs which was judged, and
    `ran` says how long a run of each tree took.
    """

    said: tuple[Said, ...]
    pairs: int = 0
    runs: int = 0
    conclusive: bool = False
    facts: Mapping[str, object] = {}
    measurement: Measurement | None = None
    ran: tuple[Ran, ...] = ()


class Job(NamedTuple):
    """A question with what every measurement for it needs.

    `budget` is in seconds, `begun` a moment of the clock of `worked`. `against` is what a run of head can be held to;
    `unread` says why the stored baseline cannot be read. `turn` is what measuring in pairs goes on with.
    """

    question: Question
    policy: Policy
    budget: float
    environ: Mapping[str, str]
    against: Held
    unread: str
    begun: float
    turn: Turn

    @property
    def left(self) -> float:
        """Seconds until a server may drop the connection."""
        return MOST_SECONDS - (working_time.now() - self.begun)


def job(question: Question, machine: str, ran: Sequence[Ran], turn: Turn) -> Job:
    """What is known before anything is run. Raises OrchgateError."""
    performance = question.config.performance
    budget = min(performance.budget_seconds, MOST_SECONDS)
    try:
        stored, unread = _baseline(question, machine), ""
    except Unreadable as error:  # the change that mends it must not be refused for it
        stored, unread = None, f"{error.path} at the base {error.message}"
    policy = policy_of(performance)
    recorded = reference.gather(question, machine, ran)
    against = screening.held(question, policy, recorded, stored)
    return Job(question, policy, budget, unhooked(question.environ), against, unread, working_time.now(), turn)


def _baseline(question: Question, machine: str) -> Record | None:
    """Raises Unreadable."""
    data = question.tree.find(baseline.PATH, baseline.MAX_BYTES)
    return None if data is None else baseline.parse(data).of(question.pipeline, machine)
