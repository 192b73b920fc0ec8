"""What a history answers besides its sums: what changed and when, what is flaky, and how classes of machines differ."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.trends import changes, classes, commits, drift, streams
from orchgate.verdict import baseline
from orchgate.verdict.baseline import Baseline
from orchgate.verdict.values import policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.history.query import Runs
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.trends.changes import TrendChange
    from orchgate.trends.classes import ClassRatio, FlakyStage
    from orchgate.trends.drift import Drift
    from orchgate.trends.streams import CommitLine, Stream


class TrendContext(NamedTuple):
    """What a clone knows besides runs: the commits of its repository, and what was accepted.

    `identity` says whose runs they concern. `tolerances` are those of the metrics of which drift is told; `described`
    has a name for commits of baselines, "" where there is none. `problem` is why the baseline could not be read.
    """

    identity: RepositoryIdentity
    line: CommitLine | None
    accepted: Baseline
    tolerances: Mapping[str, float]
    described: Mapping[str, str]
    problem: OrchgateError | None = None


def known(repository: Repository, config: Config, identity: RepositoryIdentity) -> TrendContext:
    """What the clone at hand knows."""
    accepted, problem = Baseline(), None
    try:
        accepted = baseline.load(repository.root)
    except OrchgateError as error:
        problem = error
    cited = {record.commit for record in accepted.records.values() if record.commit}
    return TrendContext(
        identity,
        commits.main_line(repository),
        accepted,
        {metric.name: metric.tolerance for metric in policy(config.performance).metrics.values()},
        {commit: commits.described(repository, commit) for commit in sorted(cited)},
        problem,
    )


class Answers(NamedTuple):
    """`line` is the one that trends of this repository follow, None where the runs' own clocks gave the order.

    `left_out` streams were too many to be looked at. `streams` are those that all of it is from.
    """

    changes: tuple[TrendChange, ...] = ()
    drifts: tuple[Drift, ...] = ()
    flaky: tuple[FlakyStage, ...] = ()
    classes: tuple[ClassRatio, ...] = ()
    line: CommitLine | None = None
    left_out: int = 0
    described: Mapping[str, str] = {}
    streams: tuple[Stream, ...] = ()


def of_runs(runs: Sequence[Runs], here: TrendContext) -> Answers:
    """What runs answer, each of which is there once."""
    ours = frozenset(one.repository.name for one in runs if here.identity.is_also(one.repository))
    lines = dict.fromkeys(ours, here.line) if here.line else {}
    found = tuple(streams.of_runs(runs, lines))
    changed = changes.of_streams(found)
    own = [stream for stream in found if stream.key.repository in ours]
    return Answers(
        tuple(_with_consent(one, here, lines) if one.key.repository in ours else one for one in changed.changes),
        tuple(drift.drifts(own, here.accepted, changed.changes, here.tolerances)),
        tuple(classes.flaky_stages(runs)),
        tuple(classes.compared(found)),
        here.line if own else None,
        changed.left_out,
        here.described,
        found,
    )


def _with_consent(one: TrendChange, here: TrendContext, lines: Mapping[str, CommitLine]) -> TrendChange:
    """A change, and whether a baseline accepted it."""
    record = here.accepted.of(one.key.pipeline, one.key.machine)
    accepted = record is not None and drift.accepts(record, one, lines.get(one.key.repository))
    return one._replace(is_accepted=accepted)
