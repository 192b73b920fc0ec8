"""Runs of one pipeline and one tree that ended differently, such as a developer's and CI's, and the tools that differ.

A hint and no verdict: that tools differ may explain the two results, and something else may.
"""

from __future__ import annotations

from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.tools.differences import differences, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchgate.runs.run import Run

MOST = 20  # other runs that are looked at
_ENDS = ("succeeded", "failed")


def told_apart(run: Run, others: Iterable[Run]) -> str:
    """In what the tools of a run differ from those of one that ended otherwise on its tree; "" where none is known.

    Of several such runs, the first.
    """
    for other in others:
        if ended_otherwise(run, other) and (found := differences(other.tools, run.tools)):
            where = _where(run, other)
            return f"run {other.run_id}{where} {other.status} on the same tree with other tools: {sentence(found)}"
    return ""


def _where(run: Run, other: Run) -> str:
    """Where the other one ran, if one of the two was made by a job of a hosted CI."""
    if other.hosted:
        return f" in {clip(other.hosted.platform, 40)}"
    return f" outside of {clip(run.hosted.platform, 40)}" if run.hosted else ""


def ended_otherwise(run: Run, other: Run) -> bool:
    """Whether two runs are of one pipeline and one tree, known to be the same, and one failed, the other did not."""
    if run.status == other.status or {run.status, other.status} - set(_ENDS) or run.pipeline_id != other.pipeline_id:
        return False
    mine, theirs = run.git, other.git
    if mine is None or theirs is None or mine.tree is None or mine.tree != theirs.tree:
        return False
    beside = (mine.changed, mine.untracked)
    if mine.dirty is False and theirs.dirty is False:
        return True
    return None not in beside and beside == (theirs.changed, theirs.untracked)
