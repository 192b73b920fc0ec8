"""What is to be judged, before anybody knows what it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.git.push import Push


class Request(NamedTuple):
    """What the command line asked for; all empty means "find out"."""

    staged: bool = False
    all_files: bool = False
    base: str = ""
    head: str = ""
    commit: str = ""


class Target(NamedTuple):
    """A change before its base is looked up: `head` is None for the index.

    `message` reads what the commit in the making will say; None where nobody knows.
    """

    kind: str
    head: str | None
    base: str = ""
    push: Push | None = None
    message: Callable[[], str] | None = None
