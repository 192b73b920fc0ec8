"""Questions about commits: how far apart they are, and who makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.git.repository import Repository

_LONGEST = 200


def commits_between(repository: Repository, old: str, new: str) -> int | None:
    """Commits that `new` has and `old` has not, both hex ids; None when one of them is not here."""
    completed = repository.git.attempt("rev-list", "--count", f"{old}..{new}", "--")
    said = completed.stdout.decode("ascii", "replace").strip()
    return int(said) if completed.code == 0 and said.isdigit() else None


def author(repository: Repository) -> str:
    """`Name <address>` of whoever works here, on one line; "unknown" when git has not been told."""
    completed = repository.git.attempt("var", "GIT_AUTHOR_IDENT")
    said = completed.stdout.decode("utf-8", "replace").strip()
    name = said[: said.rfind(">") + 1] if completed.code == 0 else ""
    shown = "".join(character if character.isprintable() else "?" for character in " ".join(name.split()))
    return shown[:_LONGEST].strip() or "unknown"
