"""What may stand under `[performance.metrics]`: names of a closed list, and bounds that mean something for each.

A typo in a name or a number must not silently turn the gate off.
"""

from __future__ import annotations

from orchgate.config.faults import as_toml, dotted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures import declared
from orchgate.measures.declared import MetricKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.config.faults import At, Reading
    from orchgate.config.settings import Config, MetricSettings, Performance, PipelineSettings, StageSettings
    from orchgate.measures.declared import Measure

AT: At = ("performance", "metrics")
BENCHMARK = "benchmark:"  # and a glob: the benchmarks that a run reports
_MOST = 10.0  # times as much as before, of a count


class AllowedBounds(NamedTuple):
    """What bounds a metric can have. `fail_above` is the default, None where it is compared with no base."""

    fail_above: float | None
    most_above: float = _MOST
    most: float | None = None  # of `max` and `min`
    needs_task: bool = False


def _bounds(one: Measure) -> AllowedBounds:
    if one.kind is MetricKind.RATE:
        return AllowedBounds(one.block, 1.0, 1.0)
    counts = one.kind is MetricKind.COUNTER and one.more_is_worse  # what may rise to many times what it was
    return AllowedBounds(one.block, _MOST if counts else 1.0)


# Names as the configuration writes them: the measures, and what speed/push/bounds.py bounds without a base.
KNOWN: Mapping[str, AllowedBounds] = {
    **{one.name.replace("_", "-"): _bounds(one) for one in declared.every()},
    "flaky-rate": AllowedBounds(None, most=1.0, needs_task=True),
    "diff-files": AllowedBounds(None),
    "diff-lines": AllowedBounds(None),
}
_OTHER_WORDS = {"cpu": "cpu-seconds", "wall": "wall-seconds", "rss": "max-rss-bytes", "memory": "max-rss-bytes"}
# A name of such words alone is another one for a known metric.
_UNITS = {*_OTHER_WORDS, "time", "second", "seconds", "secs", "ms", "max", "peak", "usage", "bytes", "total", "user"}


def check(config: Config, reading: Reading) -> None:
    """Says of which metric no run measures it, and which bounds cannot be meant."""
    performance = config.performance
    if reading.within(AT[:1]) or reading.within(("pipelines",)):
        return  # what is wrong there would be reported twice
    _check_benchmarks(performance, reading)
    seen: dict[str, str] = {}
    for key, metric in performance.metrics.items():
        at, name = (*AT, key), key if key.startswith(BENCHMARK) else key.replace("_", "-")
        if name in seen:
            reading.wrong(at, f"is {dotted((*AT, seen[name]))}, which is set too", "keep one of them", of_key=True)
        seen[name] = key
        if reading.full:
            break
        _check_bounds(at, metric, reading)
        if known := KNOWN.get(name):
            _check_known(at, metric, known, reading, task=performance.rates_from_task)
        elif not _is_benchmark(name):
            _check_own(key, _measured(config), reading)


def _check_benchmarks(performance: Performance, reading: Reading) -> None:
    file, form = performance.benchmarks
    for key, value, other in (("format", form, file), ("file", file, form)):
        if other and not value:
            reading.wrong((*AT[:1], "benchmarks", key), "required key is missing")
    for name in performance.metrics:
        if name.startswith(BENCHMARK) and not file:
            reading.wrong((*AT, name), "no performance.benchmarks.file says where they are", of_key=True)


def _is_benchmark(name: str) -> bool:
    return bool(name.removeprefix(BENCHMARK).strip()) and name.startswith(BENCHMARK)


def _check_bounds(at: At, metric: MetricSettings, reading: Reading) -> None:
    if metric.min is not None and metric.max is not None and metric.min > metric.max:
        reading.wrong((*at, "min"), f"{metric.min:g} is above max, {metric.max:g}", "no value is within both")
    if metric.tolerance is not None and metric.fail_above is not None and metric.tolerance > metric.fail_above:
        message = f"{metric.tolerance:g} is above fail-above, {metric.fail_above:g}"
        reading.wrong((*at, "tolerance"), message, "what is tolerated cannot be more than what is refused")


def _check_known(at: At, metric: MetricSettings, known: AllowedBounds, reading: Reading, *, task: str) -> None:
    limit = metric.fail_above
    if known.fail_above is None:
        _check_bounded(at, metric, known, reading, task=task)
    elif limit is not None and limit > known.most_above:
        message = f"expected a fraction from 0 to {known.most_above:g}, got {limit:g}"
        reading.wrong((*at, "fail-above"), message, f"{limit / 100:g} is {limit:g} %")
    elif limit is None and metric.tolerance is not None and metric.tolerance > known.fail_above:
        message = f"{metric.tolerance:g} is above fail-above, which is {known.fail_above:g} by default"
        reading.wrong((*at, "tolerance"), message, f"set fail-above = {metric.tolerance:g} or more beside it")
    for name, value in (("max", metric.max), ("min", metric.min)):
        if known.most is not None and value is not None and value > known.most:
            message = f"expected a rate from 0 to {known.most:g}, got {value:g}"
            reading.wrong((*at, name), message, f"{value / 100:g} is {value:g} %")


def _check_bounded(at: At, metric: MetricSettings, known: AllowedBounds, reading: Reading, *, task: str) -> None:
    """Checks the bounds of what is compared with no base."""
    for name, value in (("fail-above", metric.fail_above), ("tolerance", metric.tolerance)):
        if value is not None:
            reading.wrong((*at, name), "is compared with no base", "set max or min, which bound its own value")
    if (metric.max, metric.min, metric.fail_above, metric.tolerance) == (None, None, None, None):
        reading.wrong(at, "expected max or min", "without one of them it bounds nothing")
    if known.needs_task and not task:
        message = "comes only from the recorded runs of a task, and performance.rates-from-task is not set"
        reading.wrong(at, message, 'set rates-from-task = "…" under [performance]', of_key=True)


def _check_own(key: str, stages: Sequence[StageSettings], reading: Reading) -> None:
    """Checks a name that only a stage's own report can have, `NAME` or `STAGE.NAME`."""
    at, (prefix, _, name) = (*AT, key), key.rpartition(".")
    reporting = [stage.id for stage in stages if stage.metrics]
    if prefix and name.replace("_", "-") in KNOWN and prefix not in reporting:
        what = "reports no metrics of its own" if prefix in {stage.id for stage in stages} else "is not a stage"
        hint = f'"{name}" alone is that of the whole pipeline'
        reading.wrong(at, f"{as_toml(prefix)} {what}", hint, of_key=True)
    elif prefix and (near := _near(prefix, [stage.id for stage in stages])):
        reading.wrong(at, f"{as_toml(prefix)} is not a stage", f'did you mean "{near}.{name}"?', of_key=True)
    elif near := _meant(key, strict=bool(reporting)):
        reading.wrong(at, "no run measures it", f'did you mean "{near}"?', of_key=True)
    elif not reporting:
        listed = ", ".join(KNOWN)
        hint = f'a stage that says metrics = "FILE" may report metrics of its own; built in: {listed}'
        reading.wrong(at, "no run measures it", hint, of_key=True)


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


def _measured(config: Config) -> tuple[StageSettings, ...]:
    """The stages of what the gate measures, with those of pipelines that it calls; of all where it measures none."""
    name, pipelines = config.performance.pipeline, config.pipelines
    reached = dict.fromkeys([name] if name else pipelines)
    return tuple(_stages(pipelines, list(reached)))


def _stages(pipelines: Mapping[str, PipelineSettings], waiting: list[str]) -> Iterator[StageSettings]:
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in pipelines and name not in seen:
            seen.add(name)
            yield from pipelines[name].stages
            waiting += [stage.pipeline for stage in pipelines[name].stages if stage.pipeline]
