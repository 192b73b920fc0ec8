"""What a store of objects can do, whatever keeps them."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class PartFault(OrchgateError):
    """What is wrong with one object: the others can be read. The message says no more than that."""


class VanishedPart(PartFault):
    """An object that was listed is not there any more: another one may stand for it by now."""

    def __init__(self) -> None:
        super().__init__("is not there any more")


class ReadOnlyStore(OrchgateError):
    """A store that can be read, or might be, does not let us write."""


class Listed(NamedTuple):
    """An object as a listing tells of it: its size in bytes, and when it was written last, in seconds since 1970."""

    name: str
    size: int
    written: float


class Objects(Protocol):
    """Objects by name, such as `v1/repo=a/month=2026-03/x.parquet`. Prefixes are empty, or end in a slash.

    All raise OrchgateError.
    """

    where: str

    def require(self) -> None:
        """Is the store there at all?"""

    def folders(self, prefix: str) -> list[str]:
        """The prefixes right below one."""

    def walk(self, prefix: str) -> Iterator[Listed]:
        """All objects below a prefix."""

    def get(self, name: str, limit: int) -> bytes:
        """Raises VanishedPart, PartFault, OrchgateError."""

    def create(self, name: str, content: bytes) -> bool:
        """False, and nothing done, where an object of that name is there."""

    def replace(self, name: str, content: bytes) -> None:
        """Puts an object in place of a damaged one."""

    def delete(self, name: str) -> None:
        """One that is gone already is none to delete."""
