"""Tables of which a configuration may have many: stages and pipelines, bounds of a metric, ignores."""

from __future__ import annotations

from orchgate.config.faults import INVALID, as_toml
from orchgate.config.keys import GLOBS, TEXTS
from orchgate.config.kinds import REQUIRED, Choice, Flag, ListOf, MapOf, Number, PathOrGlob, Record, Text, Whole
from orchgate.config.names import Command, Filled, Folder, Variable
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.config.faults import At, Reading


SHIPPED = "implementation-gate"  # the pipeline that every repository has, see `runs.implementation_gate`


class MetricSettings(NamedTuple):
    """How far a metric may move from the base, as fractions, and what its own value may be. None: the default."""

    fail_above: float | None
    tolerance: float | None
    max: float | None
    min: float | None


METRIC = Record(
    MetricSettings,
    {
        "fail-above": (Number(0, 10, "a fraction"), None),
        "tolerance": (Number(0, 1, "a fraction"), None),
        "max": (Number(0, 1e18, "a number"), None),
        "min": (Number(0, 1e18, "a number"), None),
    },
    {
        "fail-above": "how much worse than base is refused, as a fraction: 0.05 for 5 %",
        "tolerance": "how much worse than base is not even a warning, as a fraction",
        "max": "the highest value that is accepted, whatever base has, in the unit of the metric",
        "min": "the lowest value that is accepted, whatever base has, in the unit of the metric",
    },
    was={"block": "fail-above"},
)


RESULT_FORMATS = (
    "junit",
    "ctrf",
    "pytest-json-report",
    "pytest-reportlog",
    "pytest-benchmark",
    "hyperfine",
    "go",
    "bmf",
)


class ResultFile(NamedTuple):
    """A path or a glob of files of results; without a format, their content tells it."""

    path: str
    format: str = ""


_RESULT_FILE = Record(
    ResultFile,
    {"path": (PathOrGlob(), REQUIRED), "format": (Choice(RESULT_FORMATS), "")},
    {"path": "a file of results, or a glob of them", "format": "its format, where its content does not tell"},
)


class ResultFiles:
    """An array of paths, globs, and tables of path and format; one of them stands for an array of it."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, list):
            one = _result_file(value, at, reading)
            return one if one is INVALID else (one,)
        found = tuple(_result_file(one, (*at, index), reading) for index, one in enumerate(value))
        return tuple(one for one in found if one is not INVALID)

    def schema(self) -> dict[str, object]:
        one = [PathOrGlob().schema(), _RESULT_FILE.schema()]
        return {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}}]}


def _result_file(value: object, at: At, reading: Reading) -> object:
    if isinstance(value, dict):
        return _RESULT_FILE.read(value, at, reading)
    if not isinstance(value, str):
        return reading.expected(at, "a path, a glob, or a table of path and format", value)
    path = PathOrGlob().read(value, at, reading)
    return ResultFile(path) if isinstance(path, str) else path


class StageSettings(NamedTuple):
    id: str
    run: tuple[str, ...]
    shell: str
    env: Mapping[str, str]
    cwd: str
    timeout_seconds: float | None
    retries: int
    allow_failure: bool
    needs: tuple[str, ...]
    inputs: tuple[str, ...]
    results: tuple[ResultFile, ...]
    metrics: str
    title: str
    summary_hint: str
    retry_delay_seconds: float
    pipeline: str
    outputs: tuple[str, ...]


# The only keys of a stage that do not say what is run.
STAGE_TASTE = ("title", "summary_hint")
ENV = MapOf(Text(), Variable())
_WAYS = ("run", "shell", "pipeline")


def _one_way(values: Mapping[str, object], at: At, reading: Reading) -> None:
    given = [way for way in _WAYS if values.get(way)]
    if len(given) > 1:
        reading.wrong(at, f"has {' and '.join(given)}", "a stage has one of run, shell and pipeline")
    elif not given:
        hint = 'write `run = ["pytest", "-q"]`, `shell = "pytest -q"` or `pipeline = "other"`'
        reading.wrong(at, "expected one of run (an array), shell (a line), pipeline (an id)", hint)


STAGE = Record(
    StageSettings,
    {
        "id": (Filled("a name", a_name=True), REQUIRED),
        "run": (Command(), ()),
        "shell": (Text(), ""),
        "env": (ENV, {}),
        "cwd": (Folder(), ""),
        "timeout-seconds": (Number(0.001, 1e7, "seconds"), None),
        "retries": (Whole(0, 100), 0),
        "allow-failure": (Flag(), False),
        "needs": (TEXTS, ()),
        "inputs": (GLOBS, ()),
        "results": (ResultFiles(), ()),
        "metrics": (Text(), ""),
        "title": (Text(), ""),
        "summary-hint": (Text(), ""),
        "retry-delay-seconds": (Number(0, 1e5, "seconds"), 0.0),
        "pipeline": (Text(), ""),
        "outputs": (GLOBS, ()),
    },
    {
        "id": "the name of the stage, one of its own in the pipeline",
        "run": "the program and its arguments, started without a shell",
        "shell": "a line for the shell, in place of `run`",
        "env": "variables of the environment, beside those of the pipeline",
        "cwd": "the folder to start in, relative to the top of the repository",
        "timeout-seconds": "after how many seconds the stage is ended and has failed",
        "retries": "how many times a stage that failed is started again",
        "allow-failure": "whether the run goes on, and may succeed, where this stage failed",
        "needs": "stages that have to succeed first",
        "inputs": "files that the stage reads: while they are the same, its result is taken from an earlier run",
        "results": "files of results that the stage's tools write: JUnit, CTRF, pytest's, hyperfine's, go's, Bencher's",
        "metrics": "where the stage leaves figures of its own as JSON",
        "title": "what it is called where a line has room for more than its name",
        "summary-hint": "what the manifest says of a success, in place of its last line",
        "retry-delay-seconds": "how many seconds to wait before it is started again",
        "pipeline": "another pipeline, whose stages run in the place of this one",
        "outputs": "files that the stage makes, kept with its result where `inputs` are named",
    },
    also={
        "oneOf": [
            {"required": ["run"], "properties": {"run": {"minItems": 1}}},
            {"required": ["shell"], "properties": {"shell": {"minLength": 1}}},
            {"required": ["pipeline"], "properties": {"pipeline": {"minLength": 1}}},
        ]
    },
    was={"junit": "results"},
    check=_one_way,
)


class PipelineSettings(NamedTuple):
    title: str
    stages: tuple[StageSettings, ...]
    env: Mapping[str, str]
    max_parallel: int | None


def _stages_fit(values: Mapping[str, object], at: At, reading: Reading) -> None:
    """Each stage has its own name, and what it needs is there and comes first."""
    stages = values.get("stages", ())
    assert isinstance(stages, tuple)
    known: set[str] = set()
    for index, stage in enumerate(stages):
        if stage.id in known:
            reading.wrong((*at, "stages", index, "id"), f"{as_toml(stage.id)} is already a stage of this pipeline")
        known.add(stage.id)
    for index, stage in enumerate(stages):
        for number, need in enumerate(stage.needs):
            where: At = (*at, "stages", index, "needs", number)
            if need == stage.id:
                reading.wrong(where, f"stage {need} needs itself")
            elif need not in known:
                reading.wrong(
                    where, f"no stage {as_toml(need)} in this pipeline", "" if reading.full else _near(need, known)
                )
    if not reading.within(at) and any(stage.needs for stage in stages):
        _order(stages, at, reading)


def _near(need: str, known: set[str]) -> str:
    from orchgate.config.kinds import nearest

    return nearest(need, sorted(known))


def _order(stages: tuple[StageSettings, ...], at: At, reading: Reading) -> None:
    if not any(stage.needs for stage in stages):
        return
    import graphlib

    try:
        graphlib.TopologicalSorter({stage.id: stage.needs for stage in stages}).prepare()
    except graphlib.CycleError as error:
        circle = list(reversed(error.args[1]))
        index = next(number for number, stage in enumerate(stages) if stage.id == circle[0])
        reading.wrong((*at, "stages", index, "needs"), f"stages need each other in a circle: {' -> '.join(circle)}")


PIPELINE = Record(
    PipelineSettings,
    {
        "title": (Text(), ""),
        "stages": (ListOf(STAGE), ()),
        "env": (ENV, {}),
        "max-parallel": (Whole(1, 256), None),
    },
    {
        "title": "what it is called where a line has room for more than its name",
        "stages": "what it runs",
        "env": "variables of the environment for all of its stages",
        "max-parallel": "how many stages run at once at most",
    },
    check=_stages_fit,
)
PIPELINES = MapOf(PIPELINE, Filled("the name of a pipeline", a_name=True))


class Ignore(NamedTuple):
    """Rules, or families of them, that do not count in some files."""

    paths: tuple[str, ...]
    rules: tuple[str, ...]
    reason: str


def _not_empty(values: Mapping[str, object], at: At, reading: Reading) -> None:
    for name, what in (("paths", "glob"), ("rules", "rule")):
        if not values.get(name):
            reading.wrong((*at, name), f"expected at least one {what}")


def _ignore(**values: object) -> object:
    rules = values["rules"]
    assert isinstance(rules, tuple)
    return Ignore(**{**values, "rules": tuple(rule.upper() for rule in rules)})  # type: ignore[arg-type]  # by name


_IGNORED = {
    "paths": "the files in which the rules do not count",
    "rules": "the rules, or families of them such as DOC",
    "reason": "why they do not count there",
}
IGNORE = Record(
    _ignore,
    {"paths": (GLOBS, REQUIRED), "rules": (TEXTS, REQUIRED), "reason": (Filled("a reason"), REQUIRED)},
    _IGNORED,
    also={"allOf": [{"properties": {"paths": {"minItems": 1}, "rules": {"minItems": 1}}}]},
    check=_not_empty,
)
# `per-file-ignores` had a table with the glob for a name.
OLD_IGNORES = MapOf(
    Record(
        lambda **values: _ignore(paths=(), **values),
        {"rules": (TEXTS, REQUIRED), "reason": (Filled("a reason"), REQUIRED)},
        _IGNORED,
        check=lambda values, at, reading: _not_empty({"paths": True, **values}, at, reading),
    ),
    PathOrGlob(),
)
