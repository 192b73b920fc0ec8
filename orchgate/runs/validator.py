"""Which command tells whether an agent has done its work."""

from __future__ import annotations

import os
from typing import NamedTuple

_LOCKS = (
    ("package-lock.json", "npm test"),
    ("npm-shrinkwrap.json", "npm test"),
    ("pnpm-lock.yaml", "pnpm test"),
    ("yarn.lock", "yarn test"),
)
_MARKERS = (
    ("pyproject.toml", "pytest"),
    ("pytest.ini", "pytest"),
    ("go.mod", "go test ./..."),
    ("Cargo.toml", "cargo test"),
)


class Candidate(NamedTuple):
    """A command, and the file that speaks for it."""

    command: str
    because: str


def detect(root: str) -> list[Candidate]:
    """Every command that the files at the top of a folder suggest, each once."""
    wanted = list(_MARKERS)
    if os.path.isfile(os.path.join(root, "package.json")):
        wanted = [*_LOCKS, *wanted]
    found: dict[str, Candidate] = {}
    for name, command in wanted:
        if os.path.isfile(os.path.join(root, name)):
            found.setdefault(command, Candidate(command, name))
    return list(found.values())
