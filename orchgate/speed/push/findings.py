"""What the gate reports about a push's speed: findings from a measurement."""

from __future__ import annotations

import posixpath
import shlex
from functools import partial
from math import ceil, exp, log
from typing import TYPE_CHECKING

from orchgate.model import Severity, Verdict
from orchgate.speed import definition, explanation
from orchgate.speed.push.stored_verdict import Said
from orchgate.verdict import benchmark_words, betting, reported_benchmarks, words
from orchgate.verdict import benchmark_words as told
from orchgate.verdict.values import Compared, MetricKind, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.push.request import PushRequest
    from orchgate.speed.push.verdict_record import BranchHead
    from orchgate.speed.sampling import Failure
    from orchgate.verdict.values import BenchmarkJudgement, ComparedCounter, Judgement, Policy

RULES = {
    MetricKind.TIME: "PRF001",
    MetricKind.COUNTER: "PRF002",
    MetricKind.RATE: "PRF005",
    MetricKind.MEMORY: "PRF006",
}
# More pairs do not help where a run cannot be measured whole.
WHOLE = "a stage that waits for every process it starts is measured whole"
WEIGHTS = {Verdict.FAIL: Severity.ERROR, Verdict.WARN: Severity.WARNING}
HINT = "let head keep what the base's definition runs: the new definition judges from the next push on"
_NOT_FOUND = ("cannot run ", "exit 126", "exit 127")  # how the system and how shells say it
_BENCHMARK_WEIGHTS = {Verdict.FAIL: Severity.ERROR, Verdict.WARN: Severity.WARNING}
_GONE = "a benchmark is compared from the push on after the one that brings its name"


def announcement(request: PushRequest, budget: float) -> str:
    """What a waiting person reads while the pipeline runs."""
    sides = f"{request.head[:7]} against {(request.base or '')[:7]}"
    return f"measuring {request.pipeline}, {sides}, for up to {budget:g} s (performance.max-seconds)"


def not_measured(request: PushRequest, why: str) -> Said:
    """PRF004 as a note: nobody measured, and nobody needs to before the rest is in order."""
    message = f"{request.pipeline} was not measured: {why} (--measure-anyway measures all the same)"
    return Said("PRF004", message, request.reproduce, Severity.NOTE)


def of_pairs(request: PushRequest, policy: Policy, measurement: Measurement) -> tuple[Said, ...]:
    """What a comparison by pairs has to say; where nothing is wrong and all is decided, nothing."""
    basis = f"; {explanation.how_measured(measurement)}"
    carrier = partial(explanation.carrier, measurement)
    said = (
        *_worse(request, policy, measurement.judgement, carrier, basis),
        *_probable(request, policy, measurement, basis),
    )
    if any(one.severity is Severity.ERROR for one in said):
        return said
    still = [one for one in _all(measurement.judgement) if _is_open(one, policy)]
    judgement = measurement.judgement
    with_benchmarks = judgement.benchmarks is not None and not judgement.reason
    if not still and (judgement.verdict is not Verdict.INCONCLUSIVE or with_benchmarks):
        return said  # what stays open is said with the benchmarks
    why = "; ".join(words.compared(one) if isinstance(one, Compared) else words.counted(one) for one in still)
    bounds = bool(still) and all((one.base_lower_bound, one.head_lower_bound) != (None, None) for one in still)
    why = f"{'; '.join(filter(None, (judgement.reason, why)))}{basis}"
    open_ = undecided(request, why, policy.inconclusive, WHOLE if bounds else "")
    # Wall time that stays open without a hint of growth, where CPU time has passed, is worth a line and no warning.
    if open_.severity is Severity.WARNING and judgement.verdict is not Verdict.INCONCLUSIVE:
        open_ = open_._replace(severity=Severity.NOTE, hint="")  # it passed: there is nothing to do
    return (*said, open_)


def slower_together(request: PushRequest, row: Sequence[BranchHead]) -> tuple[Said, ...]:
    """PRF001, a warning: what the heads of a branch say together, where that is enough. One alone speaks for itself."""
    log_e = sum(head.log_e for head in row)
    if len(row) < 2 or log_e < log(betting.WARNS):
        return ()
    e_value = f"{exp(log_e):.0f}" if log_e < log(1e6) else "more than a million"
    message = (
        f"{request.pipeline}: several pushes of this branch together look slower: CPU time of {len(row)} heads "
        f"against the same base, e = {e_value} (were none slower, {betting.WARNS:.0f} is a chance of 2.5 %)"
    )
    return (Said("PRF001", message, request.reproduce, Severity.WARNING),)


def stored_findings(request: PushRequest, policy: Policy, judgement: Judgement, commit: str | None) -> tuple[Said, ...]:
    """What a comparison with the stored baseline has to say of the counters; times only raise a suspicion."""
    basis = f"; against the stored baseline of {(commit or 'no commit')[:12]}"
    return tuple(_worse(request, policy, judgement._replace(metrics=()), lambda _: "", basis))


def _worse(
    request: PushRequest, policy: Policy, judgement: Judgement, carrier: Callable[[str], str], basis: str
) -> Iterator[Said]:
    """What got worse, one by one. `carrier` tells where a change in a time comes from, `basis` how it is known."""
    for one in _all(judgement):
        if one.verdict in WEIGHTS and not _is_probable(one):
            metric = policy.metrics[one.name]
            stage = carrier(one.name) if metric.kind is MetricKind.TIME else ""
            where = f" in stage {stage}" if stage else ""
            changed = _change(one) if isinstance(one, Compared) else one.reason or words.values_of(one)
            limit = f"; from {words.percent(metric.block)} on it is refused" if one.verdict is Verdict.WARN else ""
            colon = ":" if isinstance(one, Compared) and one.estimate is None else ""
            message = f"{request.pipeline}: {words.title(one.name)}{colon} {changed}{where}{basis}{limit}"
            yield Said(RULES[metric.kind], message, f"{request.reproduce} repeats it", WEIGHTS[one.verdict])


def _probable(request: PushRequest, policy: Policy, measurement: Measurement, basis: str) -> Iterator[Said]:
    """What is only probably worse, how many pairs are missing, and the budget that holds them."""
    for one in measurement.judgement.metrics:
        if not one.probably or _is_open(one, policy):
            continue
        kind, hint = policy.metrics[one.name].kind, f"{request.reproduce} repeats it"
        stage = explanation.carrier(measurement, one.name) if kind is MetricKind.TIME else ""
        told = f"{words.probable(one)}{f' in stage {stage}' if stage else ''}"
        needed = words.missing(one)
        if words.within_reach(one) and measurement.pair_seconds:
            budget = explanation.budget_for(measurement, one.pairs + (one.pairs_missing or 0))
            needed += f", which a budget of {budget} s holds"
            hint = request.reproduce.replace("orchgate perf", f"orchgate perf --max-time {budget}s", 1)
        told = "; ".join(filter(None, (told, needed)))
        message = f"{request.pipeline}: {words.title(one.name)} {told}{basis}"
        yield Said(RULES[kind], message, hint, Severity.WARNING)


def _is_probable(one: Compared | ComparedCounter) -> bool:
    return isinstance(one, Compared) and one.probably


def _is_open(one: Compared | ComparedCounter, policy: Policy) -> bool:
    """Undecided; where that blocks, so is what is only probable."""
    return one.verdict is Verdict.INCONCLUSIVE or (policy.inconclusive == "block" and _is_probable(one))


def _all(judgement: Judgement) -> tuple[Compared | ComparedCounter, ...]:
    return (*judgement.metrics, *judgement.counters)


def _change(one: Compared) -> str:
    """`+20.3 % (+18.1 % to +22.4 %; 0.121 s -> 0.146 s)`."""
    if one.estimate is None:  # head's own value is out of bounds, or so large that nothing is estimated
        return one.reason
    return words.change(one)


def tolerated(request: PushRequest, measurement: Measurement) -> Iterator[Said]:
    """PRF005, a warning: stages that may fail, do so in every run of head, and did in none of base."""
    runs = [[pair[at] for pair in measurement.samples if not pair[at].failure] for at in (0, 1)]
    base, head = ([{one.stage: one for one in ran.tolerated} for ran in side] for side in runs)
    for name, one in (head or [{}])[0].items():
        if all(name in ran for ran in head) and not any(name in ran for ran in base):
            told = f"{failed_stage(one)}; it may, and did not before: what fails early is fast"
            yield Said("PRF005", f"{request.pipeline}: {told}", f"{request.reproduce} repeats it", Severity.WARNING)


def is_open(one: Said) -> bool:
    """Whether another measurement may say otherwise."""
    return one.rule in ("PRF003", "PRF004") and one.severity is not Severity.NOTE


def may_change(said: Sequence[Said], judgement: Judgement) -> bool:
    """Whether more pairs of the same trees may say otherwise."""
    refused = judgement.verdict is Verdict.FAIL
    judged = (*judgement.metrics, *(judgement.benchmarks.judged if judgement.benchmarks else ()))
    return any(map(is_open, said)) or (not refused and any(map(_is_probable, judged)))


def undecided(request: PushRequest, why: str, policy: str, hint: str = "") -> Said:
    """PRF004; an error where the policy blocks, which ends in exit code 3."""
    severity = Severity.ERROR if policy == "block" else Severity.WARNING
    return Said("PRF004", f"{request.pipeline}: {why}", hint or f"{request.reproduce} settles it", severity)


def suspected(request: PushRequest, judgement: Judgement, names: Sequence[str], policy: str) -> Said:
    """PRF004: of one run of head not enough is known in these metrics to hold it to the stored baseline."""
    bounds = [one for one in _all(judgement) if one.name in names]
    told = [words.compared(one) if isinstance(one, Compared) else words.counted(one) for one in bounds]
    return undecided(request, "; ".join(told), policy, WHOLE)


def with_differences(said: tuple[Said, ...], measurement: Measurement) -> tuple[Said, ...]:
    """With what else differs, beside the first finding that may be about it."""
    return with_line(said, next(explanation.also(measurement), ""))


def with_line(said: tuple[Said, ...], line: str) -> tuple[Said, ...]:
    """With a line, if there is one, beside the first finding about the speed of head."""
    first = next((at for at, one in enumerate(said) if line and one.rule in (*RULES.values(), "PRF004")), None)
    if first is None:
        return said
    one = said[first]._replace(message=f"{said[first].message}; {line}")
    return (*said[:first], one, *said[first + 1 :])


def failed_stage(one: Failure) -> str:
    """`stage crunch fails at head: exit 3: last line of its output`."""
    return f"stage {one.stage} fails at {one.side}: {one.detail}" + (f": {one.said}" if one.said else "")


def head_failed(request: PushRequest, one: Failure) -> Said:
    """PRF005: base runs and head does not."""
    message = f"{request.pipeline} fails and did not before: {failed_stage(one)}"
    return Said("PRF005", message, f"mend it first; {request.reproduce} repeats it", Severity.ERROR)


def no_baseline(request: PushRequest, why: str, severity: Severity = Severity.WARNING) -> Said:
    """PRF003, with the command that records one."""
    import shlex

    record = f"orchgate baseline record {shlex.quote(request.pipeline)}"
    note = severity is Severity.NOTE
    hint = record if note else f"`{record}`, and commit .orchgate/baseline.json; or `{request.reproduce}`"
    return Said("PRF003", f"{request.pipeline} was not compared: {why}", hint, severity)


def facts(measurement: Measurement) -> dict[str, object]:
    """The numbers behind a verdict, for `--explain` and programs."""
    judgement = measurement.judgement
    return {
        "verdict": judgement.verdict.value,
        "metrics": [plain(one) for one in judgement.metrics],
        "counters": [plain(one) for one in judgement.counters],
        **benchmark_words.facts(judgement.benchmarks),
        "stages": [stage._asdict() for stage in measurement.stages],
        "notes": [*measurement.notes, *judgement.notes],
        "differs": list(measurement.differs),
        "stopped": measurement.stopped,
        "seconds": round(measurement.seconds, 3),
        "noise": measurement.noise,
        "instructions": explanation.instructions(measurement),
    }


def failed_at_head(request: PushRequest, failure: Failure) -> Said:
    """PRF007 where head can no longer run what the base defines, PRF005 where it runs and fails."""
    why = _why(request, failure)
    if not why:
        return head_failed(request, failure)
    message = f"{request.pipeline} cannot be run any more as the base defines it: {failed_stage(failure)}; {why}"
    return Said("PRF007", message, HINT, Severity.ERROR)


def _why(request: PushRequest, failure: Failure) -> str:
    change = request.redefined
    if change is not None and (change.prepared if failure.stage == "prepare" else change.staged):
        return f"this change {definition.some(change.edits)}"
    if gone := next(_gone(request, failure.stage), ""):
        return f"this change removes {gone}"
    return "the command is not found" if failure.detail.startswith(_NOT_FOUND) else ""


def _gone(request: PushRequest, name: str) -> Iterator[str]:
    """Files and folders that the command of a stage names, and that only base has."""
    assert request.base is not None
    if name == "prepare":
        words, folder = request.config.performance.setup, ""
    else:
        stages = definition.read(request.repository, request.base, request.pipeline, "base").stages
        stage = next(one for one in stages if one.id == name)
        words, folder = _words_of_stage(stage), stage.cwd
    left = request.repository.tree(request.head).entries
    gone = [path for path in request.tree.entries if path not in left]
    for path in _places(words, folder):
        # A shell may have gone to another folder first.
        yield from (one for one in gone if one == path or one.endswith(f"/{path}"))
        if path in request.tree.folders and any(one.startswith(f"{path}/") for one in gone):
            yield from () if any(one.startswith(f"{path}/") for one in left) else (path,)


def _places(words: Sequence[str], folder: str) -> Iterator[str]:
    """Paths that a command may name: the folder it runs in, its words, and the module that python is asked for."""
    if folder:
        yield posixpath.normpath(folder)
    for before, word in zip(("", *words), words, strict=False):
        path = posixpath.normpath(posixpath.join(folder, word))
        if path not in (".", "/") and not path.startswith("../"):
            yield path
        if before == "-m":
            module = posixpath.normpath(posixpath.join(folder, word.replace(".", "/")))
            yield from (f"{module}.py", f"{module}/__main__.py")


def _words_of_stage(stage: Stage) -> tuple[str, ...]:
    if stage.argv:
        return stage.argv
    try:
        return tuple(shlex.split(stage.shell, comments=True))
    except ValueError:  # a quotation that does not end; the shell will have said so
        return tuple(stage.shell.split())


def of_benchmarks(request: PushRequest, policy: Policy, measurement: Measurement, basis: str) -> Iterator[Said]:
    """Those that moved, worst first, then those that failed, then what only one side has, and what stayed open."""
    named = measurement.judgement.benchmarks
    if named is None:
        return
    if named.verdict is Verdict.BROKEN:
        hint = f"{request.reproduce} shows it again"
        yield Said("PRF004", f"{request.pipeline}: {named.reason}", hint, Severity.ERROR)
        return
    if named.verdict is Verdict.FAIL and not named.judged:
        yield _of_benchmarks(request, "PRF005", Severity.ERROR, named.reason)
        return
    movers = told.movers(named)
    where = f" in stage {stage}" if (stage := _reporter(measurement)) else ""
    for one in movers[: told.MOST]:
        limit = _benchmark_limit(one, policy)
        yield _of_benchmarks(request, *_weight((one,), policy), f"{told.moved(one)}{where}{basis}{limit}")
    if more := movers[told.MOST :]:
        what = f"{len(more)} more benchmark{'s' * (len(more) != 1)} got slower{where}"
        yield _of_benchmarks(request, *_weight(more, policy), what)
    yield from _failed_benchmarks(request, named)
    yield from _changed_benchmarks(request, named)
    yield from _open_benchmarks(request, policy, named, measurement)


def _weight(movers: Sequence[Compared], policy: Policy) -> tuple[str, Severity]:
    """The rule and the weight of benchmarks that moved, worst first. Where what is undecided blocks, so is probable."""
    if policy.inconclusive == "block" and movers[0].verdict is Verdict.WARN and any(one.probably for one in movers):
        return "PRF004", Severity.ERROR
    return "PRF001", _BENCHMARK_WEIGHTS[movers[0].verdict]


def _of_benchmarks(request: PushRequest, rule: str, severity: Severity, message: str) -> Said:
    return Said(rule, f"{request.pipeline}: {message}", f"{request.reproduce} repeats it", severity)


def _benchmark_limit(one: Compared, policy: Policy) -> str:
    """From where on what is a warning now would be refused."""
    if one.verdict is not Verdict.WARN or one.probably:
        return ""
    metric = reported_benchmarks.limit(one.name, policy.benchmarks.limits)
    return f"; from {words.percent(metric.block)} on it is refused"


def _reporter(measurement: Measurement) -> str:
    """The stage that wrote the results, where there are several."""
    if len(measurement.stages) < 2:
        return ""
    return next((ran.reporter for pair in reversed(measurement.samples) for ran in pair if ran.reporter), "")


def _failed_benchmarks(request: PushRequest, named: BenchmarkJudgement) -> Iterator[Said]:
    charged = [one for one in named.failed if one.verdict in _BENCHMARK_WEIGHTS]
    for one in charged[: told.MOST]:
        yield _of_benchmarks(request, "PRF005", _BENCHMARK_WEIGHTS[one.verdict], told.failed(one))
    if more := charged[told.MOST :]:
        worst = Severity.ERROR if any(one.verdict is Verdict.FAIL for one in more) else Severity.WARNING
        what = "1 more benchmark has no result" if len(more) == 1 else f"{len(more)} more benchmarks have no result"
        yield _of_benchmarks(request, "PRF005", worst, what)
    others = [one for one in named.failed if one.verdict not in _BENCHMARK_WEIGHTS]
    for line in told.first([told.failed(one) for one in others]):
        yield Said("PRF004", f"{request.pipeline}: {line}", "", Severity.NOTE)


def _changed_benchmarks(request: PushRequest, named: BenchmarkJudgement) -> Iterator[Said]:
    severity = Severity.WARNING if named.only_on_base else Severity.NOTE
    for line in told.changed(named):
        yield Said("PRF007", f"{request.pipeline}: {line}", _GONE, severity)


def _open_benchmarks(
    request: PushRequest, policy: Policy, named: BenchmarkJudgement, measurement: Measurement
) -> Iterator[Said]:
    """Some of many always stay open: a line. All of them, or where that blocks: what more runs would settle."""
    if any(one.verdict is Verdict.INCONCLUSIVE for one in named.judged):
        blocks = Severity.ERROR if policy.inconclusive == "block" else Severity.WARNING
        settles = named.verdict is Verdict.INCONCLUSIVE or policy.inconclusive == "block"
        hint = f"{_with_time(request, named, measurement)} settles it" if settles else ""
        yield Said("PRF004", f"{request.pipeline}: {told.rest(named)}", hint, blocks if settles else Severity.NOTE)


def _with_time(request: PushRequest, named: BenchmarkJudgement, measurement: Measurement) -> str:
    """The command that repeats the measurement, with a budget for the pairs that all benchmarks need."""
    if not named.reason or not measurement.pair_seconds:
        return request.reproduce
    budget = ceil((named.needed + 2) * measurement.pair_seconds)
    return request.reproduce.replace("orchgate perf", f"orchgate perf --max-time {budget}s", 1)
