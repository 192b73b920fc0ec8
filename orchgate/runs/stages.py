"""A pipeline and its stages as values, and the order in which the stages may run.

A digest stands for all that a pipeline does, the pipelines it calls included: runs with equal digests may be compared.
"""

from __future__ import annotations

from collections import deque

from orchgate.errors import ConfigError
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from orchgate.config.entries import ResultFile


class Stage(NamedTuple):
    """One step of a pipeline: a program (`argv`), a shell line (`shell`), or a whole `pipeline` by its id.

    `env` holds what the stage sets, the pipeline's own included. `cwd`, `results` and `metrics` are as configured:
    `cwd` counts from the repository's top ("" is the top), the files from `cwd`. `inputs` and
    `outputs` are globs of repository paths.
    """

    id: str
    title: str
    argv: tuple[str, ...] = ()
    shell: str = ""
    env: Mapping[str, str] = {}
    cwd: str = ""
    timeout_seconds: float | None = None
    retries: int = 0
    retry_delay_seconds: float = 0.0
    allow_failure: bool = False
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    results: tuple[ResultFile, ...] = ()
    metrics: str = ""
    summary_hint: str = ""
    pipeline: str = ""
    outputs: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`command` or `subpipeline`, the words of the manifest."""
        return "subpipeline" if self.pipeline else "command"

    @property
    def command(self) -> str | None:
        """The command as a person would type it; None for a sub-pipeline."""
        if not self.argv:
            return self.shell or None
        if all(word.isascii() and word.isalnum() for word in self.argv):
            return " ".join(self.argv)
        import shlex

        return shlex.join(self.argv)

    @property
    def definition(self) -> str:
        """Everything that decides what the stage does, in one canonical form; its titles are left out."""
        values = {**self._asdict(), "title": "", "summary_hint": "", "results": _as_junit(self.results)}
        shown = tuple(values.values())
        return _canonical(shown if self.outputs else shown[:-1])  # as it was when there were none


def _as_junit(results: tuple[ResultFile, ...]) -> object:
    """The files of results as they were when there was one, under the key `junit`: a new name changes no definition."""
    if len(results) == 1 and not results[0].format:
        return results[0].path
    return tuple(map(tuple, results)) or ""


class Pipeline(NamedTuple):
    """Stages under one name. `source` is the file that defines it.

    A `sequential` pipeline runs its stages strictly in order and stops at the first that fails and may not; the others
    run whatever `needs` allows at the same time, `max_parallel` at most (None: what the machine grants).
    """

    id: str
    title: str
    stages: tuple[Stage, ...]
    source: str = ""
    env: Mapping[str, str] = {}
    sequential: bool = False
    max_parallel: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that decides what a run does; the same in every process and version of Python."""
        text = _canonical((self.id, self.sequential, self.env, *(stage.definition for stage in self.stages)))
        return sha256_hex(text)


def _canonical(values: tuple[object, ...]) -> str:
    # ascii(), not repr(): what repr() escapes depends on the Unicode tables of the interpreter.
    return ascii(tuple(sorted(value.items()) if hasattr(value, "items") else value for value in values))


def order(pipeline: Pipeline) -> tuple[tuple[Stage, ...], ...]:
    """The stages in levels: all of a level may run once the levels before it are done.

    Raises ConfigError for a need that does not exist and for a cycle, which it names.
    """
    if pipeline.sequential:
        return tuple((stage,) for stage in pipeline.stages)
    if not any(stage.needs for stage in pipeline.stages):
        return (pipeline.stages,) if pipeline.stages else ()
    known = {stage.id for stage in pipeline.stages}
    for stage in pipeline.stages:
        for need in stage.needs:
            if need not in known:
                raise ConfigError(f"{place(pipeline, stage)}.needs: no stage {need!r} in this pipeline")
    return tuple(_levels(pipeline))


def _levels(pipeline: Pipeline) -> Iterator[tuple[Stage, ...]]:
    import graphlib

    sorter = graphlib.TopologicalSorter({stage.id: stage.needs for stage in pipeline.stages})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        # The sorter goes from a stage to the ones that wait for it; a reader goes the other way, along `needs`.
        cycle = " -> ".join(map(repr, reversed(error.args[1])))
        raise ConfigError(f"{place(pipeline)}.stages: they need each other in a circle: {cycle}") from error
    position = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        yield tuple(pipeline.stages[position[name]] for name in ready)
        sorter.done(*ready)


def place(pipeline: Pipeline, stage: Stage | None = None) -> str:
    """The dotted path of a pipeline or of one of its stages, for error messages."""
    from orchgate.config.kinds import join

    path = join("pipelines", pipeline.id)
    return path if stage is None else f"{path}.stages[{pipeline.stages.index(stage)}]"


def check_startable(stage: Stage, path: str) -> None:
    """Raises ConfigError for text that no operating system takes as part of a command."""
    if not stage.id.strip():
        raise ConfigError(f"{path}.id: expected a name, got an empty one")
    texts = {"id": stage.id, "run": "".join(stage.argv), "shell": stage.shell, "cwd": stage.cwd, "title": stage.title}
    texts |= {"env": "".join((*stage.env, *stage.env.values())), "metrics": stage.metrics}
    texts |= {"results": "".join(one.path for one in stage.results)}
    for key, text in texts.items():
        if "\0" in text or not _encodable(text):
            raise ConfigError(f"{path}.{key}: holds a character that cannot be in a command")
    for pattern in stage.outputs:
        if reason := _why_no_output(pattern):
            raise ConfigError(f"{path}.outputs: {pattern!r} {reason}", "a path or glob inside the repository: dist/**")
    if stage.argv and not stage.argv[0]:
        raise ConfigError(f"{path}.run[0]: expected a program, got an empty string")
    for name in stage.env:
        if not name or "=" in name:
            raise ConfigError(f"{path}.env: {name!r} cannot be the name of a variable")


def _why_no_output(pattern: str) -> str:
    from orchgate.lib.paths import bare, why_outside

    if "\0" in pattern or not _encodable(pattern):
        return "holds a character that cannot be in a path"
    return why_outside(bare(pattern).removeprefix("./"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, which JSON can spell and nothing can run
        return False
    return True


class Schedule:
    """The stages of one run that are ready, waiting or settled. A stage is its number in the pipeline, from 1."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.begin(_needs(pipeline))

    @classmethod
    def of(cls, needs: Mapping[int, tuple[int, ...]]) -> Self:
        """A schedule of stages of which only the needs are known, as those of a recorded run."""
        schedule = cls.__new__(cls)
        schedule.begin(needs)
        return schedule

    def begin(self, needs: Mapping[int, tuple[int, ...]]) -> None:
        """By stage the stages it needs. Called once."""
        self.needs = needs
        self.ready: deque[int] = deque(index for index, needed in needs.items() if not needed)
        self.settled: set[int] = set()
        self._size = len(needs)
        self._waits = {index: len(needed) for index, needed in needs.items()}
        self._unlocks: dict[int, list[int]] = {}
        for index, needed in needs.items():
            for other in needed:
                self._unlocks.setdefault(other, []).append(index)

    @property
    def complete(self) -> bool:
        return len(self.settled) == self._size

    def is_apart(self, index: int) -> bool:
        """Whether no other stage can run at the same time as this one, by what each needs."""
        return len(_reached(index, self.needs) | _reached(index, self._unlocks)) == self._size - 1

    def already(self, indexes: set[int]) -> None:
        """These stages were settled well by an earlier process."""
        self.settled |= indexes
        self.ready = deque(index for index in self.ready if index not in indexes)
        for index in sorted(indexes):
            self.done(index)

    def done(self, index: int) -> None:
        """A stage ended such that what needs it may start."""
        self.settled.add(index)
        for other in self._unlocks.get(index, ()):
            self._waits[other] -= 1
            if self._waits[other] == 0 and other not in self.settled:
                self.ready.append(other)

    def failed(self, index: int) -> list[int]:
        """A stage ended such that what needs it, directly or through others, will not run: those are settled too."""
        self.settled.add(index)
        skipped, waiting = [], [index]
        while waiting:
            for other in self._unlocks.get(waiting.pop(), ()):
                if other not in self.settled:
                    self.settled.add(other)
                    skipped.append(other)
                    waiting.append(other)
        return sorted(skipped)


def _reached(start: int, edges: Mapping[int, Iterable[int]]) -> set[int]:
    """All that one leads to, without itself."""
    found: set[int] = set()
    waiting = [start]
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _needs(pipeline: Pipeline) -> dict[int, tuple[int, ...]]:
    """For each stage the stages it needs; in a sequential pipeline that is the one before."""
    if pipeline.sequential:
        return {index: (index - 1,) if index > 1 else () for index in range(1, len(pipeline.stages) + 1)}
    known = {stage.id: index for index, stage in enumerate(pipeline.stages, 1)}
    return {known[stage.id]: tuple({known[need] for need in stage.needs}) for stage in pipeline.stages}


def pipeline_hash(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> str:
    """SHA-256 in hex; for a pipeline that calls no other, the `digest` of its plan and its journal."""
    reached = {pipeline.id: pipeline}
    waiting = [pipeline]
    while waiting:
        called = {stage.pipeline for stage in waiting.pop().stages if stage.pipeline}
        new = [pipelines[name] for name in called if name in pipelines and name not in reached]
        reached |= {one.id: one for one in new}
        waiting += new
    return combined(pipeline.digest, (one.digest for one in reached.values()))


def combined(own: str, reached: Iterable[str]) -> str:
    """The hash from the digests of a pipeline and of all it reaches, in any order."""
    others = set(reached) - {own}
    return sha256_hex("\n".join((own, *sorted(others)))) if others else own


def command_hash(argv: Sequence[str], folder: str = "") -> str:
    return sha256_hex("\0".join((*argv, folder)))


def command_name(argv: Sequence[str], folder: str = "") -> str:
    """What stands for a pipeline's id where a command was measured: `-- pytest -q`, and the folder it ran in.

    Without secrets: it is committed.
    """
    import shlex

    from orchgate.secrets.redact import redacted_words

    return f"-- {shlex.join(redacted_words(argv))}" + (f" # in {folder}" if folder else "")
