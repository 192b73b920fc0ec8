"""Which command decides whether an agent has done its work, and how far its results can be relied on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.digest import sha256_hex
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.agent.iterations import Iteration
    from orchgate.runner.child import Result
    from orchgate.runs.run import StageRun

CONFIRMED = 3  # passes in a row needed after a failure on the same work tree
# Seconds, clock times and addresses differ from run to run although nothing else does.
_FLEETING = lazy(rb"0x[0-9a-f]+|\d+(?:[.:]\d+)+ *(?:m?s\b)?|\b\d+ *m?s\b")

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
    """A command, and the file that suggests it."""

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


def failed_on_it(done: Sequence[Iteration]) -> bool:
    """Whether the validator failed before on the work tree of the last iteration."""
    *earlier, last = done
    failed = [one for one in earlier if one.complete and not one.passed]
    idle = bool(failed) and not last.changed and failed[-1] is earlier[-1]
    return idle or (bool(last.tree) and any(one.tree == last.tree for one in failed))


def in_doubt(done: Sequence[Iteration]) -> bool:
    """Whether a pass in the last iteration does not count yet: it failed on the same work tree, or is flaky."""
    return failed_on_it(done) or any(one.flaky for one in done)


def asks_again(stage: StageRun, *, passed: bool, doubtful: bool) -> bool:
    """Whether the validator has to run once more; `stage` is as it was before this result."""
    if not (passed and doubtful):
        return False
    passes = [attempt for attempt in stage.attempts if attempt.status == "succeeded"]
    return len(passes) + 1 < CONFIRMED


def digest(result: Result) -> str:
    """The same for two results that differ only in when and how fast."""
    ended = repr((result.code, result.signal, result.refused)).encode("ascii", "backslashreplace")
    return sha256_hex(ended + _FLEETING.sub(b"#", result.recent))
