"""What a tree defines as measured, and what a change does to that definition.

Both sides run the base's definition, so that nobody can evade the comparison by editing what is measured.
"""

from __future__ import annotations

from orchgate.config.entries import SHIPPED
from orchgate.config.faults import clipped
from orchgate.config.load import load
from orchgate.config.source import FILE, PYPROJECT
from orchgate.errors import ConfigError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Severity
from orchgate.runs.pipeline import CODEX_FILE, find, load_tree
from orchgate.runs.stages import Schedule, pipeline_hash
from orchgate.secrets.redact import redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.runs.stages import Pipeline, Stage

SHOWN = 5  # changes that are named one by one
_LONGEST = 60  # characters of a command
_WHOLE = 200  # characters of what is said of one change; ids may be of any length
# What decides what a measured run does and costs, by the key that sets it; `needs` shows in the order.
_KEYS = {
    "cwd": "cwd",
    "timeout_seconds": "timeout-seconds",
    "retries": "retries",
    "allow_failure": "allow-failure",
    "results": "results",
    "metrics": "metrics",
}


class NoPipeline(ConfigError):
    """A side's tree does not define the pipeline."""


class PipelineDefinition(NamedTuple):
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


def read(repository: Repository, commit: str, name: str, label: str) -> PipelineDefinition:
    """A pipeline as the tree of a commit defines it. Raises ConfigError, NoPipeline, which name the side."""
    config = config_of(repository, commit, label)
    try:
        pipelines = load_tree(repository.tree(commit), config)
        pipeline = find(pipelines, name)
        return PipelineDefinition(name, unfolded(pipelines, pipeline), pipeline_hash(pipelines, pipeline))
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


class PipelineChange(NamedTuple):
    """What a change does to the pipeline that is measured.

    `edits` are phrases that follow "this change", additions apart; `added` are ids of stages that only head has.
    `staged`: stages that base has differ at head. `prepared`: the command that readies a tree does. `variables` are
    names that the definitions set differently. `head` is head's own definition, None where there is none to be run.
    """

    pipeline: str
    edits: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    staged: bool = False
    prepared: bool = False
    variables: tuple[str, ...] = ()
    head: PipelineDefinition | None = None

    @property
    def phrases(self) -> tuple[str, ...]:
        return (*self.edits, *(f"adds stage {name}" for name in self.added))


def touched(paths: Iterable[str | None], pipeline: str) -> bool:
    """Whether a change of these paths may change what is measured."""
    return pipeline == SHIPPED or not {FILE, PYPROJECT, CODEX_FILE}.isdisjoint(paths)


def between(repository: Repository, base: str, head: str, name: str, before: Config) -> PipelineChange:
    """What head makes of a pipeline of base, whose configuration is `before`.

    Raises NoPipeline where base does not define it, ConfigError where a definition or configuration cannot be read.
    """
    old = read(repository, base, name, "base")
    after = config_of(repository, head, "head")
    edits = list(_gate(repository, head, old, before.performance.pipeline, after.performance.pipeline))
    prepared = before.performance.setup != after.performance.setup
    if prepared:
        edits.append("changes performance.setup")
    try:
        new = read(repository, head, name, "head")
    except ConfigError as error:
        moved = any(edit.startswith(_RENAMES) for edit in edits)
        if not moved:
            edits.append(_gone(name, error))
        return PipelineChange(name, tuple(edits), (), staged=not moved, prepared=prepared)
    changes = compared(old.stages, new.stages)
    edits += changes.edits
    return PipelineChange(name, tuple(edits), changes.added, bool(changes.edits), prepared, changes.variables, new)


_RENAMES = "renames the pipeline "
_MAKES = "makes {} what is measured from the next push on"


def _gone(name: str, error: ConfigError) -> str:
    if isinstance(error, NoPipeline):
        return f"removes pipeline {name}: it is gone from the next push on"
    why = error.message.partition(": ")[2]
    return f"makes pipeline {name} impossible to run ({why}): it is gone from the next push on"


def _gate(repository: Repository, head: str, old: PipelineDefinition, before: str, after: str) -> Iterator[str]:
    """What becomes of the pipeline where it is the one that pushes are measured by, as `performance.pipeline` says."""
    if before != old.name or after == before:
        if before != after == old.name:
            yield _MAKES.format(after)
        return
    if not after:
        yield "unsets performance.pipeline: nothing is measured from the next push on"
        return
    try:
        same = not compared(old.stages, read(repository, head, after, "head").stages).any
    except ConfigError:
        same = False
    yield f"{_RENAMES}to {after}" if same else _MAKES.format(after)


class StageChanges(NamedTuple):
    edits: tuple[str, ...]
    added: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.edits or self.added)


def compared(old: Sequence[Stage], new: Sequence[Stage]) -> StageChanges:
    """What differs between two definitions, as far as it may show in a measured run."""
    before, after = {stage.id: stage for stage in old}, {stage.id: stage for stage in new}
    renamed = _renamed(before, after)
    edits = [f"renames stage {name} to {other}" for name, other in renamed.items()]
    edits += [f"removes stage {name}" for name in before if name not in after and name not in renamed]
    for name, stage in before.items():
        edits += _edits(stage, after[name]) if name in after else ()
    shared = dict.fromkeys(renamed.get(name, name) for name in before if name in after or name in renamed)
    if list(shared) != [name for name in after if name in shared]:
        edits.append("runs the stages in another order")
    known = {*before, *renamed.values()}
    variables = {
        variable
        for name, stage in before.items()
        if name in after
        for variable in _variables(stage.env, after[name].env)
    }
    return StageChanges(tuple(edits), tuple(name for name in after if name not in known), tuple(sorted(variables)))


def _renamed(before: Mapping[str, Stage], after: Mapping[str, Stage]) -> dict[str, str]:
    """Stages that do the same under another id, new ids by old ones, in the order of the definitions."""
    new: dict[object, list[str]] = {}
    for name in reversed(list(after)):
        if name not in before:
            new.setdefault(_substance(after[name]), []).append(name)
    missing = {name: new.get(_substance(stage), []) for name, stage in before.items() if name not in after}
    return {name: same.pop() for name, same in missing.items() if same}


def _substance(stage: Stage) -> tuple[object, ...]:
    """All of a stage that may show in a measured run, but for its id."""
    rest = (getattr(stage, field) for field in _KEYS)
    return stage.argv, stage.shell, tuple(sorted(stage.env.items())), *rest


def _edits(old: Stage, new: Stage) -> Iterator[str]:
    if old.command != new.command:
        yield f"changes the command of stage {old.id}: {_shown(old)} -> {_shown(new)}"
    elif (old.argv, old.shell) != (new.argv, new.shell):
        yield f"runs stage {old.id} {'through a shell' if new.shell else 'without a shell'}"
    if names := _variables(old.env, new.env):
        yield f"changes env of stage {old.id} ({_some(names)})"
    if keys := [key for field, key in _KEYS.items() if getattr(old, field) != getattr(new, field)]:
        yield f"changes {', '.join(keys)} of stage {old.id}"


def _variables(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names whose values differ."""
    return sorted(name for name in {**old, **new} if old.get(name) != new.get(name))


def _shown(stage: Stage) -> str:
    import shlex

    words = redacted_words(stage.argv) if stage.argv else redacted_words((stage.shell,))
    return clipped(shlex.join(words) if stage.argv else words[0], _LONGEST)


def _some(items: Sequence[str], mark: str = ", ") -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return mark.join(clipped(item, _WHOLE) for item in items[:SHOWN]) + more


def some(phrases: Sequence[str]) -> str:
    """The first of what a change does, and how much more it is."""
    return _some(phrases, "; ")


# In words

NEXT = "the new definition applies from the next push on"


def findings(change: PipelineChange, costs: Mapping[str, str]) -> tuple[Finding, ...]:
    """PRF007: what the change does, with what the stages that it adds cost (by id, in words). Nothing for no change."""
    phrases = [*change.edits, *(f"adds stage {name}{_cost(costs.get(name, ''))}" for name in change.added)]
    if not phrases:
        return ()
    message = f"{change.pipeline} is measured as the base defines it; this change {some(phrases)}"
    return (Finding("PRF007", Location(""), message, NEXT, Severity.WARNING if change.edits else Severity.NOTE),)


def _cost(words: str) -> str:
    return f" ({words})" if words else ""


def introduced(pipeline: str, *, defined: bool = False) -> Finding:
    """PRF007 for a pipeline that the base does not have, or (`defined`) has and does not measure."""
    new = "new to the gate" if defined else "new"
    message = (
        f"pipeline {pipeline} is {new}: there is no base to compare it with, and it is judged from the next push on"
    )
    return Finding("PRF007", Location(""), message, severity=Severity.NOTE)


def facts(change: PipelineChange, costs: Mapping[str, str]) -> dict[str, object]:
    """For programs: `changed` in words, `added` stages with what they cost in words, or null."""
    added = [{"stage": name, "cost": costs.get(name)} for name in change.added]
    return {"definition": {"changed": list(change.edits), "added": added}}
