"""What may stand under `[performance.metrics]`: names of a closed list, and bounds that mean something for each.

A slip in a name or a number must not leave the gate open in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.kinds import join
from orchgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config, Metric, Performance, Pipeline, Stage

PATH = "performance.metrics"
BENCHMARK = "benchmark:"  # and a glob: the benchmarks that a run reports
_MOST = 10.0  # times as much as before, of a count


class Known(NamedTuple):
    """What bounds a metric can have. `block` is the default, None where it is compared with no base."""

    block: float | None
    most_block: float = _MOST
    most: float | None = None  # of `max` and `min`
    needs_task: bool = False


_COST = Known(0.05, 1.0)
_RATE = Known(0.0, 1.0, 1.0)
# Names as the configuration writes them; metrics/values.py and speed/guardrails.py hold what they stand for.
KNOWN: Mapping[str, Known] = {
    "cpu-seconds": _COST,
    "wall-seconds": _COST._replace(block=0.10),
    "max-rss-bytes": _COST._replace(block=0.03),
    "tree-rss-bytes": _COST._replace(block=0.03),
    "manifest-writes": Known(0.0),
    "files-written": Known(0.0),
    "written-bytes": Known(0.05),
    "read-bytes": Known(0.10),
    "processes": Known(0.0),
    "tests-passed": Known(0.0, 1.0),
    "success-rate": _RATE,
    "test-pass-rate": _RATE,
    "flaky-rate": Known(None, most=1.0, needs_task=True),
    "diff-files": Known(None),
    "diff-lines": Known(None),
}
_OTHER_WORDS = {"cpu": "cpu-seconds", "wall": "wall-seconds", "rss": "max-rss-bytes", "memory": "max-rss-bytes"}
# A name of such words alone is another one for a known metric.
_UNITS = {*_OTHER_WORDS, "time", "second", "seconds", "secs", "ms", "max", "peak", "usage", "bytes", "total", "user"}


def check(config: Config) -> None:
    """Raises ConfigError for a metric that no run measures, and for bounds that cannot be meant."""
    try:
        _check(config, config.performance)
    except ConfigError as error:
        raise ConfigError(error.message, f"{error.hint} ({config.origins[PATH]})") from error


def _check(config: Config, performance: Performance) -> None:
    seen: dict[str, str] = {}
    for key, metric in performance.metrics.items():
        path, name = join(PATH, key), key if key.startswith(BENCHMARK) else key.replace("_", "-")
        if name in seen:
            raise ConfigError(f"{path}: is {join(PATH, seen[name])}, which is set too", "keep one of them")
        seen[name] = key
        _check_bounds(path, metric)
        if known := KNOWN.get(name):
            _check_known(path, metric, known, task=performance.task)
        elif not _is_benchmark(name):
            _check_own(path, key, _measured(config))


def _is_benchmark(name: str) -> bool:
    return bool(name.removeprefix(BENCHMARK).strip()) and name.startswith(BENCHMARK)


def _check_bounds(path: str, metric: Metric) -> None:
    if metric.min is not None and metric.max is not None and metric.min > metric.max:
        raise ConfigError(f"{path}.min: {metric.min:g} is above max, {metric.max:g}", "no value is within both")
    if metric.tolerance is not None and metric.block is not None and metric.tolerance > metric.block:
        message = f"{path}.tolerance: {metric.tolerance:g} is above block, {metric.block:g}"
        raise ConfigError(message, "what is tolerated cannot be more than what is refused")


def _check_known(path: str, metric: Metric, known: Known, *, task: str) -> None:
    if known.block is None:
        _check_bounded(path, metric, known, task=task)
    elif metric.block is not None and metric.block > known.most_block:
        message = f"{path}.block: expected a fraction from 0 to {known.most_block:g}, got {metric.block:g}"
        raise ConfigError(message, f"{metric.block / 100:g} is {metric.block:g} %")
    elif metric.block is None and metric.tolerance is not None and metric.tolerance > known.block:
        message = f"{path}.tolerance: {metric.tolerance:g} is above block, which is {known.block:g} by default"
        raise ConfigError(message, f"set block = {metric.tolerance:g} or more beside it")
    for name, value in (("max", metric.max), ("min", metric.min)):
        if known.most is not None and value is not None and value > known.most:
            message = f"{path}.{name}: expected a rate from 0 to {known.most:g}, got {value:g}"
            raise ConfigError(message, f"{value / 100:g} is {value:g} %")


def _check_bounded(path: str, metric: Metric, known: Known, *, task: str) -> None:
    """Of what is compared with no base."""
    for name, value in (("block", metric.block), ("tolerance", metric.tolerance)):
        if value is not None:
            raise ConfigError(f"{path}.{name}: is compared with no base", "set max or min, which bound its own value")
    if metric.max is None and metric.min is None:
        raise ConfigError(f"{path}: expected max or min", "without one of them it bounds nothing")
    if known.needs_task and not task:
        message = f"{path}: is known of the recorded runs of a task alone, and performance.task is not set"
        raise ConfigError(message, 'set task = "…" under [performance]')


def _check_own(path: str, key: str, stages: Sequence[Stage]) -> None:
    """Of a name that only what a stage reports itself can have, `NAME` or `STAGE.NAME`."""
    prefix, _, name = key.rpartition(".")
    reporting = [stage.id for stage in stages if stage.metrics]
    if prefix and name.replace("_", "-") in KNOWN and prefix not in reporting:
        what = "reports no metrics of its own" if prefix in {stage.id for stage in stages} else "is no stage"
        raise ConfigError(f"{path}: {prefix!r} {what}", f'"{name}" alone is that of the whole pipeline')
    if prefix and (near := _near(prefix, [stage.id for stage in stages])):
        raise ConfigError(f"{path}: {prefix!r} is no stage", f'did you mean "{near}.{name}"?')
    if near := _meant(key, strict=bool(reporting)):
        raise ConfigError(f"{path}: no run measures it", f'did you mean "{near}"?')
    if not reporting:
        listed = ", ".join(KNOWN)
        hint = f'a stage that says metrics = "FILE" may report metrics of its own; known without: {listed}'
        raise ConfigError(f"{path}: no run measures it", hint)


def _meant(key: str, *, strict: bool) -> str:
    """The known metric that a name is probably meant for, "" for none; `strict` where it may well be another one."""
    name = key.lower().replace("_", "-")
    words = set(name.split("-"))
    part = [known for known in KNOWN if words <= set(known.split("-"))]
    other = [meant for word, meant in _OTHER_WORDS.items() if word in words and (not strict or words <= _UNITS)]
    return next(iter((*part, *other)), "") or _near(name, KNOWN, 0.85 if strict else 0.6)


def _near(name: str, known: Iterable[str], cutoff: float = 0.8) -> str:
    """The known name that is nearly spelled so; "" for none, and for one that is."""
    import difflib

    options = list(known)
    near = difflib.get_close_matches(name[:100], options, n=1, cutoff=cutoff)
    return near[0] if near and name not in options else ""


def _measured(config: Config) -> tuple[Stage, ...]:
    """The stages of what the gate measures, with those of pipelines that it calls; of all where it measures none."""
    name, pipelines = config.performance.pipeline, config.pipelines
    reached = dict.fromkeys([name] if name else pipelines)
    return tuple(_stages(pipelines, list(reached)))


def _stages(pipelines: Mapping[str, Pipeline], waiting: list[str]) -> Iterator[Stage]:
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in pipelines and name not in seen:
            seen.add(name)
            yield from pipelines[name].stages
            waiting += [stage.pipeline for stage in pipelines[name].stages if stage.pipeline]
