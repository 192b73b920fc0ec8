"""What is to be measured for a push."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Step

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.stages import Stage
    from orchgate.speed.definition import PipelineChange

DECIDE = "to decide"
_PAIRS = 20  # which find most slow-downs that are refused


class BothFail(OrchgateError):
    """The pipeline can be run neither at base nor at head. `stages` are base's, `command` is what failed at head."""

    def __init__(self, message: str, hint: str, stages: Sequence[Stage], command: str) -> None:
        super().__init__(message, hint)
        self.stages = tuple(stages)
        self.command = command


class PushRequest(NamedTuple):
    """What is to be judged. `base` and `head` are commits, a None base that of a first push; `tree` is the base's.

    `tell` says to a waiting person what takes so long. `redefined` is what the change does to the pipeline, None for a
    change that cannot do anything to it. `hold` is asked before anything is measured: why it is not to be, "" where it
    is. `branch` is the one that is pushed, "" where nobody knows. `limits` is the base's configuration and `proposed`
    head's, where they are not the one that judges; `paths` are those of the change.
    """

    repository: Repository
    config: Config
    base: str | None
    head: str
    tree: Snapshot
    environ: Mapping[str, str]
    now: datetime.datetime
    tell: Callable[[str], None]
    redefined: PipelineChange | None = None
    hold: Callable[[], str] = str
    branch: str = ""
    limits: Config | None = None
    proposed: Config | None = None
    paths: frozenset[str] = frozenset()

    @property
    def pipeline(self) -> str:
        return self.config.performance.pipeline

    def command(self, max_time: str = "") -> str:
        """The `orchgate perf` that repeats the measurement, for as long as `max_time` says, or as is configured."""
        import shlex

        limit = ("--max-time", max_time) if max_time else ()
        ends = ("--base", (self.base or "")[:12], "--head", self.head[:12])
        return shlex.join(["orchgate", "perf", *ends, *limit, self.pipeline])

    @property
    def reproduce(self) -> Step:
        return Step("reproduce", self.command())

    def decide(self, run_seconds: float | None) -> Step:
        """With time for enough pairs where a run takes so many seconds."""
        minutes = 20 if run_seconds is None else max(20, -int(-run_seconds * 2 * _PAIRS // 60))
        return Step(DECIDE, self.command(f"{minutes}m" if minutes < 120 else f"{min(24, -(-minutes // 60))}h"))
