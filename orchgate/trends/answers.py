"""What a history answers besides its sums: what changed and when, what is flaky, and how classes of machines differ."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.trends import changes, classes, commits, drift, streams
from orchgate.verdict import baseline
from orchgate.verdict.baseline import Baseline
from orchgate.verdict.values import policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.history.query import Runs
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.trends.changes import Change
    from orchgate.trends.classes import ClassRatio, FlakyStage
    from orchgate.trends.drift import Drift
    from orchgate.trends.streams import CommitLine, Stream


class Known(NamedTuple):
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

    def is_of(self, other: RepositoryIdentity) -> bool:
        """Whether another identity is that of this repository."""
        if self.identity.roots and other.roots:
            return self.identity.roots == other.roots
        return self.identity.name == other.name


def known(repository: Repository, config: Config, identity: RepositoryIdentity) -> Known:
    """What the clone at hand knows."""
    accepted, problem = Baseline(), None
    try:
        accepted = baseline.load(repository.root)
    except OrchgateError as error:
        problem = error
    cited = {record.commit for record in accepted.records.values() if record.commit}
    return Known(
        identity,
        commits.main_line(repository),
        accepted,
        {metric.name: metric.tolerance for metric in policy(config.performance).metrics.values()},
        {commit: commits.described(repository, commit) for commit in sorted(cited)},
        problem,
    )


class Answers(NamedTuple):
    """`line` is the one that trends of this repository follow, None where the runs' own clocks gave the order.

    `left_out` streams were too many to be looked at, and `elsewhere` counts runs of this repository that could be
    compared but are of other commits.
    """

    changes: tuple[Change, ...] = ()
    drifts: tuple[Drift, ...] = ()
    flaky: tuple[FlakyStage, ...] = ()
    classes: tuple[ClassRatio, ...] = ()
    line: CommitLine | None = None
    left_out: int = 0
    described: Mapping[str, str] = {}


def of_runs(runs: Sequence[Runs], here: Known) -> Answers:
    """What runs answer, each of which is there once."""
    return of_streams(streams_of(runs, here), here)._replace(flaky=tuple(classes.flaky_stages(runs)))


def streams_of(runs: Sequence[Runs], here: Known) -> list[Stream]:
    """Those of runs, in the order of the commits that are known here."""
    return streams.of_runs(runs, _lines((one.repository for one in runs), here))


def _lines(repositories: Iterable[RepositoryIdentity], here: Known) -> Mapping[str, CommitLine]:
    line = here.line
    return {one.name: line for one in repositories if here.is_of(one)} if line else {}


def of_streams(found: Sequence[Stream], here: Known) -> Answers:
    """What streams answer, wherever their values come from."""
    changed = changes.of_streams(found)
    lines = [stream.line for stream in found if stream.line]
    own = [stream for stream in found if here.line is None or stream.line]
    return Answers(
        changed.changes,
        tuple(drift.drifts(own, here.accepted, changed.changes, here.tolerances)),
        (),
        tuple(classes.compared(found)),
        lines[0] if lines else None,
        changed.left_out,
        here.described,
    )
