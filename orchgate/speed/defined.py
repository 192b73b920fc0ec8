"""What a tree says is measured: the stages of a pipeline in the order in which they run, read from the tree itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.load import load
from orchgate.errors import ConfigError, UsageError
from orchgate.runner.schedule import Schedule
from orchgate.runs.definition import pipeline_hash
from orchgate.runs.pipeline import find, load_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.runs.stages import Pipeline, Stage


class NoPipeline(ConfigError):
    """A side's tree does not define the pipeline."""


class Defined(NamedTuple):
    """A pipeline as a tree defines it: its stages, those of the pipelines it calls among them, and its digest."""

    name: str
    stages: tuple[Stage, ...]
    digest: str


def config_of(repository: Repository, commit: str, label: str) -> Config:
    """The configuration of a commit's tree. Raises ConfigError, which names the side."""
    try:
        return load(repository.tree(commit))
    except ConfigError as error:
        raise ConfigError(f"{_place(label, commit)}: {error.message}", error.hint) from error


def read(repository: Repository, commit: str, name: str, label: str) -> Defined:
    """A pipeline as the tree of a commit defines it. Raises ConfigError, NoPipeline, which name the side."""
    config = config_of(repository, commit, label)
    try:
        pipelines = load_tree(repository.tree(commit), config)
        pipeline = find(pipelines, name)
        return Defined(name, unfolded(pipelines, pipeline), pipeline_hash(pipelines, pipeline))
    except UsageError as error:
        raise NoPipeline(f"{_place(label, commit)}: {error.message}", error.hint) from error
    except ConfigError as error:
        raise ConfigError(f"{_place(label, commit)}: {error.message}", error.hint) from error


def _place(label: str, commit: str) -> str:
    return f"{label} ({commit[:12]})"


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
