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


def oldest_first(repository: Repository, commits: list[str]) -> dict[str, int]:
    """The place of each commit that no remote has yet, ancestors before descendants. Raises GitError."""
    wanted = set(commits)
    if not wanted:
        return {}
    asked = "".join(f"{commit}\n" for commit in sorted(wanted)).encode("ascii")
    output = repository.git("rev-list", "--topo-order", "--reverse", "--stdin", "--not", "--remotes", input=asked)
    return {oid: place for place, oid in enumerate(output.decode("ascii").split()) if oid in wanted}


def author(repository: Repository) -> str:
    """`Name <address>` of whoever works here, on one line; "unknown" when git has not been told."""
    completed = repository.git.attempt("var", "GIT_AUTHOR_IDENT")
    said = completed.stdout.decode("utf-8", "replace").strip()
    name = said[: said.rfind(">") + 1] if completed.code == 0 else ""
    shown = "".join(character if character.isprintable() else "?" for character in " ".join(name.split()))
    return shown[:_LONGEST].strip() or "unknown"


def first_parents(repository: Repository, commit: str, most: int) -> list[str]:
    """Hex ids of the trees of a commit, its first parent, that one's first parent and so on. Raises GitError."""
    options = (
        "--first-parent",
        f"--max-count={most}",
        "--format=%T",
        "--no-show-signature",
        "--no-color",
        "--no-notes",
    )
    return repository.git("log", *options, commit, "--").decode("ascii", "replace").split()
