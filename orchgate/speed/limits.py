"""When a run is ended that is not over by itself."""

from __future__ import annotations

from typing import NamedTuple


class OutOfTime(Exception):
    """A run was ended because it was not over at the deadline."""


class TooSlow(Exception):
    """A run was ended, in `stage`, because its judged stages were not over within their limit in `seconds`."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(stage, seconds)
        self.stage = stage
        self.seconds = seconds


class Limits(NamedTuple):
    """When a run is ended: at a `deadline` of the clock of `worked`, or once its judged stages took so many seconds."""

    deadline: float | None = None
    seconds: float | None = None

    def after(self, spent: float) -> Limits:
        """What is left once judged stages took so many seconds."""
        return self if self.seconds is None else self._replace(seconds=max(0.001, self.seconds - spent))


UNLIMITED = Limits()
