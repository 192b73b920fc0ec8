"""The sides of a comparison: a work tree at each commit, and what is to be run there."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from orchgate.errors import ConfigError, UsageError
from orchgate.git import checkout as checkouts
from orchgate.runs.schedule import Schedule
from orchgate.runs.stages import Stage
from orchgate.speed.sampling import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.runs.stages import Pipeline

COMMAND = "command"  # the id of the one stage that a command line is


class NoPipeline(ConfigError):
    """A side's tree does not define the pipeline."""


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
) -> Iterator[tuple[Side, ...]]:
    """Sides for commits by label, in that order: `{"base": <hex id>, "head": <hex id>}`, or one of them.

    Each side runs the pipeline as its own tree defines it, or all the same `command` in a `folder` of the tree. The
    work trees are ours alone until the block is left, and kept for the next time.
    Raises ConfigError (naming the side), GitError.
    """
    with contextlib.ExitStack() as stack:
        yield tuple(
            _side(
                repository,
                label,
                stack.enter_context(checkouts.checkout(repository, commit, _flavour(prepare), environ)),
                pipeline,
                Stage(COMMAND, COMMAND, tuple(command), cwd=folder) if command else None,
            )
            for label, commit in commits.items()
        )


def _flavour(prepare: Sequence[str]) -> str:
    """What a prepared tree depends on beside its files."""
    if not prepare:
        return ""
    from orchgate.runs.machine import fingerprint

    return ascii((fingerprint()["fingerprint"], *prepare))


def _side(repository: Repository, label: str, found: checkouts.Checkout, pipeline: str, command: Stage | None) -> Side:
    stages = (command,) if command else _stages(label, found, pipeline)
    keep = None if found.prepared else partial(checkouts.keep, repository, found)
    return Side(label, found.commit, found.tree, found.root, found.scratch, stages, keep, found.lock)


def _stages(label: str, found: checkouts.Checkout, name: str) -> tuple[Stage, ...]:
    from orchgate.config.load import load_work_tree
    from orchgate.runs.pipeline import find, load_all

    place = f"{label} ({found.commit[:12]})"
    try:
        pipelines = load_all(found.root, load_work_tree(found.root))
        return unfolded(pipelines, find(pipelines, name))
    except UsageError as error:
        raise NoPipeline(f"{place}: {error.message}", error.hint) from error
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.message}", error.hint) from error


def unfolded(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages of a pipeline in the order of their needs, one after another, each call replaced by what it calls.

    The ids of called stages begin with that of the call. What a call sets holds for them: its environment, its time
    limit for each of them, its permission to fail.
    """
    return tuple(_unfolded(pipelines, pipeline, None))


def _unfolded(pipelines: Mapping[str, Pipeline], pipeline: Pipeline, call: Stage | None) -> Iterator[Stage]:
    schedule = Schedule(pipeline)
    while schedule.ready:
        index = schedule.ready.popleft()
        schedule.done(index)
        stage = _within(call, pipeline.stages[index - 1])
        if stage.pipeline:
            yield from _unfolded(pipelines, pipelines[stage.pipeline], stage)
        else:
            yield stage


def _within(call: Stage | None, stage: Stage) -> Stage:
    if call is None:
        return stage
    limits = [limit for limit in (call.timeout_seconds, stage.timeout_seconds) if limit is not None]
    return stage._replace(
        id=f"{call.id}/{stage.id}",
        env={**call.env, **stage.env},
        timeout_seconds=min(limits, default=None),
        allow_failure=call.allow_failure or stage.allow_failure,
    )
