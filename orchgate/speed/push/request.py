"""What a push asks of its measurement, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.speed.definition import PipelineChange

_PAIRS = 20  # which find most slow-downs that are refused


class PushRequest(NamedTuple):
    """What is to be judged. `base` and `head` are commits, a None base that of a first push; `tree` is the base's.

    `tell` says to a waiting person what takes so long. `redefined` is what the change does to the pipeline, None for a
    change that cannot do anything to it. `hold` is asked before anything is measured: why it is not to be, "" where it
    is. `branch` is the one that is pushed, "" where nobody knows.
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

    @property
    def pipeline(self) -> str:
        return self.config.performance.pipeline

    @property
    def reproduce(self) -> str:
        """The command that repeats the measurement without a budget that a push sets."""
        import shlex

        return f"orchgate perf --base {(self.base or '')[:12]} --head {self.head[:12]} {shlex.quote(self.pipeline)}"

    def settled(self, seconds: float | None) -> str:
        """The command that settles it, with a budget that holds enough pairs where a run takes so many seconds."""
        import shlex

        minutes = 20 if seconds is None else max(20, -int(-seconds * 2 * _PAIRS // 60))
        budget = f"{minutes}m" if minutes < 120 else f"{min(24, -(-minutes // 60))}h"
        name = shlex.quote(self.pipeline)
        return f"orchgate perf --base {(self.base or '')[:12]} --head {self.head[:12]} --max-time {budget}s {name}"
