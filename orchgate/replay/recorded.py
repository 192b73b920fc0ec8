"""A recorded run that is to be replayed: what it says, what that rests on, and why it can be replayed or not.

The journal beside a manifest says what both are of: a manifest that its journal does not add up to is contradicted
before anything runs.
"""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import journal, locate
from orchgate.runs.decode import parse
from orchgate.runs.inspection import contradictions
from orchgate.runs.run import RecordedTree, checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.runs.run import Run

_ENDED = ("succeeded", "failed")


class Unrepeatable(OrchgateError):
    """Why a run cannot be replayed; the hint is the command that helps, where one does."""


class Contradicted(OrchgateError):
    """What is known to be wrong with the record of a run without replaying it."""


class ReplayableRun(NamedTuple):
    """A run that can be replayed as far as its own record goes.

    `digest` is that of its pipeline's definition, `sha256` that of its manifest; `measured`: one stage at a time.
    """

    run: Run
    git: RecordedTree
    digest: str
    sha256: str
    measured: bool
    runner: str


def read(manifest: bytes, beside: bytes | None, path: str) -> ReplayableRun:
    """The run of a manifest's bytes and its journal's. Raises Unrepeatable, Contradicted."""
    try:
        document = parse(manifest)
        run = checked(document, path)
    except OrchgateError as error:
        raise Unrepeatable(f"its manifest {error.message}", error.hint) from error
    if not locate.is_derived(document):
        raise Unrepeatable(
            f"another program recorded it ({run.format}), which says no tree", "orchgate run PIPELINE --task TASK"
        )
    first = _first_event(document, beside)
    place = (run.task_id, run.run_id)
    if place != (os.path.basename(os.path.dirname(os.path.dirname(run.folder))), os.path.basename(run.folder)):
        raise Unrepeatable(f"its manifest is that of run {run.run_id[:60]} of task {run.task_id[:60]}")
    for problem in contradictions(run):
        raise Contradicted(f"its manifest contradicts itself: {journal.sentence(problem)}")
    _require_whole(run, first)
    git = _tree_of(run)
    pipeline = first["pipeline"]
    measured = bool(pipeline.get("measured"))
    runner = str(first.get("runner", ""))
    return ReplayableRun(run, git, str(pipeline.get("digest") or ""), sha256_hex(manifest), measured, runner)


def _first_event(document: Mapping[str, Any], beside: bytes | None) -> Mapping[str, Any]:
    if beside is None:
        raise Unrepeatable("its manifest has no journal beside it, and alone proves nothing", "orchgate evidence fetch")
    try:
        events = journal.parse(beside).events
    except OrchgateError as error:
        raise Unrepeatable(f"its journal cannot be read: {error.message}", error.hint) from error
    problem = journal.difference(document, beside)
    if problem is not None:
        raise Contradicted(f"its manifest contradicts its journal (MAN007): {journal.sentence(problem)}")
    return events[0]


def _require_whole(run: Run, first: Mapping[str, Any]) -> None:
    """Refuses what no pipeline made alone, and what did not come to its own end."""
    if run.parent_run_id:
        raise Unrepeatable(
            f"it is part of run {run.parent_run_id}, which sets what it starts from",
            f"orchgate evidence replay {run.parent_run_id}",
        )
    if "agent_loop" in first:
        raise Unrepeatable("an agent made it, which does not do the same twice")
    if "observed" in first:
        raise Unrepeatable(
            "it was observed from outside: no pipeline says what it ran", "orchgate run PIPELINE --task TASK"
        )
    if run.status not in _ENDED:
        raise Unrepeatable(f"it is {run.status}: it has no end that could be replayed")


def _tree_of(run: Run) -> RecordedTree:
    git = run.git
    if git is None:
        raise Unrepeatable("it ran outside of git, so that nobody knows of what", "run it inside the repository")
    if git.commit is None or git.tree is None:
        raise Unrepeatable("it ran before the first commit, on files that nobody can bring back")
    if git.changed is None and git.dirty:
        raise Unrepeatable("it ran on more uncommitted changes than its manifest names", "commit, and run it again")
    if git.untracked is None:
        raise Unrepeatable("it ran beside more untracked files than its manifest names", "ignore them, or commit them")
    return git
