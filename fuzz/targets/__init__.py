"""What is fuzzed. A target gives its first inputs (`seeds`) and, for a folder of its own, what is done with one input.

That function raises what orchgate must never raise; OrchgateError is an answer. `Violation` is a wrong answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Target(Protocol):
    """A module here. `SMOKE`, where it has one, is how many inputs the quick test has time for."""

    def seeds(self) -> Iterable[bytes]: ...

    def prepare(self, folder: str, /) -> Callable[[bytes], int | None]:
        """What is to be done with an input; `folder` is empty, and the target's own.

        It may say how many rounds that was: states that were compared, where an input is a history of several.
        """
