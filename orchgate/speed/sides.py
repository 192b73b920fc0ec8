"""The sides of a comparison: a work tree at each commit, and what is to be run there."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from orchgate.git import checkout as checkouts
from orchgate.runs.stages import Stage
from orchgate.speed import definition
from orchgate.speed.sampling import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository

COMMAND = "command"  # the id of the one stage that a command line is


@contextlib.contextmanager
def opened(
    repository: Repository,
    commits: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    pipeline: str = "",
    command: Sequence[str] = (),
    folder: str = "",
    prepare: Sequence[str] = (),
    defined_by: Sequence[str] = (),
) -> Iterator[tuple[Side, ...]]:
    """Sides for commits by label, in that order: `{"base": <hex id>, "head": <hex id>}`, or one of them.

    All of them run the pipeline as the first of them defines it (or as `defined_by` does, a label and a hex id), or all
    the same `command` in a `folder` of the tree. The work trees are ours alone until the block is left, and kept for
    the next time. Raises ConfigError (naming the side that defines the pipeline), GitError.
    """
    if command:
        stages: tuple[Stage, ...] = (Stage(COMMAND, COMMAND, tuple(command), cwd=folder),)
    else:
        label, commit = tuple(defined_by) or next(iter(commits.items()))
        stages = definition.read(repository, commit, pipeline, label).stages
    with contextlib.ExitStack() as stack:
        yield tuple(
            _side(
                repository,
                label,
                stack.enter_context(checkouts.checkout(repository, commit, _variant(prepare), environ)),
                stages,
            )
            for label, commit in commits.items()
        )


def _variant(prepare: Sequence[str]) -> str:
    """What a prepared tree depends on beside its files."""
    if not prepare:
        return ""
    from orchgate.runs.machine import fingerprint

    return ascii((fingerprint()["fingerprint"], *prepare))


def _side(repository: Repository, label: str, found: checkouts.Checkout, stages: tuple[Stage, ...]) -> Side:
    keep = None if found.prepared else partial(checkouts.keep, repository, found)
    return Side(label, found.commit, found.tree, found.root, found.scratch, stages, keep, found.lock)
