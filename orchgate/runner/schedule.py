"""Which stage may start when. No processes, no files: a stage is its number in the pipeline, from 1."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runs.stages import Pipeline


class Schedule:
    """The stages of one run that are ready, waiting, or settled."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.begin(_needs(pipeline))

    @classmethod
    def of(cls, needs: Mapping[int, tuple[int, ...]]) -> Self:
        """A schedule of stages of which only the needs are known, as those of a recorded run."""
        schedule = cls.__new__(cls)
        schedule.begin(needs)
        return schedule

    def begin(self, needs: Mapping[int, tuple[int, ...]]) -> None:
        """By stage the stages it needs. Called once."""
        self.needs = needs
        self.ready: deque[int] = deque(index for index, needed in needs.items() if not needed)
        self.settled: set[int] = set()
        self._size = len(needs)
        self._waits = {index: len(needed) for index, needed in needs.items()}
        self._unlocks: dict[int, list[int]] = {}
        for index, needed in needs.items():
            for other in needed:
                self._unlocks.setdefault(other, []).append(index)

    @property
    def complete(self) -> bool:
        return len(self.settled) == self._size

    def already(self, indexes: set[int]) -> None:
        """These stages were settled well by an earlier process."""
        self.settled |= indexes
        self.ready = deque(index for index in self.ready if index not in indexes)
        for index in sorted(indexes):
            self.done(index)

    def done(self, index: int) -> None:
        """A stage ended such that what needs it may start."""
        self.settled.add(index)
        for other in self._unlocks.get(index, ()):
            self._waits[other] -= 1
            if self._waits[other] == 0 and other not in self.settled:
                self.ready.append(other)

    def failed(self, index: int) -> list[int]:
        """A stage ended such that what needs it, directly or through others, will not run: those are settled too."""
        self.settled.add(index)
        skipped, waiting = [], [index]
        while waiting:
            for other in self._unlocks.get(waiting.pop(), ()):
                if other not in self.settled:
                    self.settled.add(other)
                    skipped.append(other)
                    waiting.append(other)
        return sorted(skipped)


def _needs(pipeline: Pipeline) -> dict[int, tuple[int, ...]]:
    """For each stage the stages it needs; in a sequential pipeline that is the one before."""
    if pipeline.sequential:
        return {index: (index - 1,) if index > 1 else () for index in range(1, len(pipeline.stages) + 1)}
    known = {stage.id: index for index, stage in enumerate(pipeline.stages, 1)}
    return {known[stage.id]: tuple({known[need] for need in stage.needs}) for stage in pipeline.stages}
