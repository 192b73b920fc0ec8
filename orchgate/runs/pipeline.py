"""The pipelines a repository defines: `[pipelines]` of our own configuration, and those of codex.orchestrator.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.kinds import join
from orchgate.errors import ConfigError, UsageError
from orchgate.runs import codex, implementation_gate
from orchgate.runs.stages import Pipeline, Stage, check_startable, order, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.config.settings import Config
    from orchgate.config.settings import Pipeline as PipelineSettings
    from orchgate.config.settings import Stage as StageSettings
    from orchgate.git.snapshot import Snapshot

__all__ = ["MAX_NESTING", "MAX_STAGES", "Pipeline", "Stage", "find", "load_all", "load_tree", "nearest", "order"]

MAX_STAGES = 10_000  # with all sub-pipelines unfolded: two calls of two calls of … double at every step
MAX_NESTING = 16


def load_all(root: str, config: Config) -> dict[str, Pipeline]:
    """Every pipeline of a work tree by id, ours first.

    Ours wins where both files define one, and both before the one that is shipped. Raises ConfigError.
    """
    return _all(config, codex.load(root), implementation_gate.on_disk(root))


def load_tree(tree: Snapshot, config: Config) -> dict[str, Pipeline]:
    """As `load_all`, of a tree that nobody has checked out; `config` is the tree's. Raises ConfigError."""
    return _all(config, codex.load_tree(tree), implementation_gate.in_tree(tree))


def _all(config: Config, others: Mapping[str, Pipeline], read: Callable[[str], bytes | None]) -> dict[str, Pipeline]:
    source = config.origins.get("pipelines") or "the configuration"
    own = {name: _own(name, settings, source) for name, settings in config.pipelines.items()}
    found = {**own, **{name: found for name, found in others.items() if name not in own}}
    if implementation_gate.NAME not in found:
        shipped = implementation_gate.settings(read, measured=bool(config.performance.pipeline))
        found[implementation_gate.NAME] = _own(implementation_gate.NAME, shipped, "orchgate itself")
    return found


def _own(name: str, settings: PipelineSettings, source: str) -> Pipeline:
    path = join("pipelines", name)
    stages = tuple(
        _stage(stage, settings.env, f"{path}.stages[{index}]") for index, stage in enumerate(settings.stages)
    )
    return Pipeline(name, settings.title or name, stages, source, settings.env, max_parallel=settings.max_parallel)


def _stage(settings: StageSettings, env: Mapping[str, str], path: str) -> Stage:
    stage = Stage(
        id=settings.id,
        title=settings.title or settings.id,
        argv=settings.run,
        shell=settings.shell,
        env={**env, **settings.env},
        cwd=settings.cwd,
        timeout_seconds=settings.timeout_seconds,
        retries=settings.retries,
        retry_delay_seconds=settings.retry_delay_seconds,
        allow_failure=settings.allow_failure,
        needs=settings.needs,
        inputs=settings.inputs,
        junit=settings.junit,
        metrics=settings.metrics,
        summary_hint=settings.summary_hint,
        pipeline=settings.pipeline,
        outputs=settings.outputs,
    )
    check_startable(stage, path)
    return stage


def find(pipelines: Mapping[str, Pipeline], name: str) -> Pipeline:
    """The pipeline of that name, once it is certain that it can be run with all the pipelines it calls.

    Raises UsageError for a name nobody defined, ConfigError for a pipeline that can never run.
    """
    if name not in pipelines:
        raise UsageError(f"there is no pipeline {name!r}", nearest(name, pipelines))
    _check_calls(pipelines, name)
    return pipelines[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the name that was probably meant, and all there are."""
    import difflib

    options = tuple(known)
    if not options:
        return "define one: [[pipelines.<name>.stages]] in orchgate.toml"
    near = difflib.get_close_matches(name[:200], [option[:200] for option in options], n=1, cutoff=0.6)
    listed = "there are: " + ", ".join(options)
    return f"did you mean {near[0]}? {listed}" if near else listed


def _check_calls(pipelines: Mapping[str, Pipeline], name: str) -> None:
    """Raises ConfigError unless every reachable pipeline exists, has stages, is in order, and comes to an end."""
    calls: dict[str, tuple[str, ...]] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in calls:
            calls[current] = _calls(pipelines, pipelines[current])
            waiting.extend(calls[current])
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for current in _callees_first(calls, name):
        sizes[current] = len(pipelines[current].stages) + sum(sizes[called] for called in calls[current])
        depths[current] = 1 + max((depths[called] for called in calls[current]), default=0)
    path = join("pipelines", name)
    if sizes[name] > MAX_STAGES:
        raise ConfigError(f"{path}: unfolds to {sizes[name]} stages, limit {MAX_STAGES}")
    if depths[name] > MAX_NESTING:
        raise ConfigError(f"{path}: pipelines call each other {depths[name]} deep, limit {MAX_NESTING}")


def _calls(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> tuple[str, ...]:
    """Ids of the pipelines that one calls."""
    if not pipeline.stages:
        raise ConfigError(f"{place(pipeline)}.stages: expected at least one stage", f"fix it in {pipeline.source}")
    order(pipeline)
    for stage in pipeline.stages:
        if stage.pipeline and stage.pipeline not in pipelines:
            message = f"{place(pipeline, stage)}.pipeline: there is no pipeline {stage.pipeline!r}"
            raise ConfigError(message, nearest(stage.pipeline, pipelines))
    return tuple(stage.pipeline for stage in pipeline.stages if stage.pipeline)


def _callees_first(calls: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    if not calls[name]:
        return (name,)
    import graphlib

    try:
        return tuple(graphlib.TopologicalSorter(calls).static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(map(repr, reversed(error.args[1])))
        raise ConfigError(f"{join('pipelines', name)}: pipelines call each other in a circle: {cycle}") from error
