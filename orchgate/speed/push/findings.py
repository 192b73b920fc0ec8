"""What the gate reports about a push's speed: findings from a measurement."""

from __future__ import annotations

import posixpath
import shlex
from functools import partial
from math import ceil, exp, log

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures import declared
from orchgate.measures.declared import MetricKind
from orchgate.model import Finding, Location, Severity, Step, Verdict
from orchgate.speed import definition, measurements
from orchgate.speed.push.bounds import DECIDE
from orchgate.verdict import reported_benchmarks, sign_flip, words
from orchgate.verdict.values import Compared, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.push.bounds import PushRequest
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
_KEEP = "keep what the base's definition runs: the new definition applies from the next push on"
_NEW_NAME = "a benchmark is compared from the push after the one that adds its name"


def about(request: PushRequest, rule: str, severity: Severity, message: str, *steps: Step, hint: str = "") -> Finding:
    """A finding about the pipeline as a whole: `bench: CPU time …`."""
    return that(request, rule, severity, f": {message}", *steps, hint=hint)


def that(request: PushRequest, rule: str, severity: Severity, clause: str, *steps: Step, hint: str = "") -> Finding:
    """A finding of which the pipeline is the subject: `bench fails …`."""
    return Finding(rule, Location(""), f"{request.pipeline}{clause}", hint, severity, steps=steps)


def announcement(request: PushRequest, budget: float) -> str:
    """What a waiting person reads while the pipeline runs."""
    sides = f"{request.head[:7]} against {(request.base or '')[:7]}"
    return f"measuring {request.pipeline}, {sides}, for up to {budget:g} s (performance.max-seconds)"


def not_measured(request: PushRequest, why: str) -> Finding:
    """PRF004 as a note: nobody measured, and nobody needs to before the rest is in order."""
    step = Step("to measure it now", request.command())
    clause = f" was not measured: {why}; --measure-anyway measures it"
    return that(request, "PRF004", Severity.NOTE, clause, step)


def of_pairs(request: PushRequest, policy: Policy, measurement: Measurement) -> tuple[Finding, ...]:
    """What a comparison by pairs has to say; where nothing is wrong and all is decided, nothing."""
    basis = f"; {measurements.how_measured(measurement)}"
    carrier = partial(measurements.carrier, measurement)
    found = (
        *_worse(request, policy, measurement.judgement, carrier, basis),
        *_probable(request, policy, measurement, basis),
    )
    if any(one.severity is Severity.ERROR for one in found):
        return found
    still = [one for one in _all(measurement.judgement) if _is_open(one, policy)]
    judgement = measurement.judgement
    with_benchmarks = judgement.benchmarks is not None and not judgement.reason
    if not still and (judgement.verdict is not Verdict.INCONCLUSIVE or with_benchmarks):
        return found  # what stays open is reported with the benchmarks
    why = "; ".join(words.compared(one) if isinstance(one, Compared) else words.counted(one) for one in still)
    bounds = bool(still) and all((one.base_lower_bound, one.head_lower_bound) != (None, None) for one in still)
    why = f"{'; '.join(filter(None, (judgement.reason, why)))}{basis}"
    open_ = undecided(request, why, policy.inconclusive, hint=WHOLE if bounds else "")
    # Wall time that stays open without a hint of growth, where CPU time has passed, is worth a line and no warning.
    if open_.severity is Severity.WARNING and judgement.verdict is not Verdict.INCONCLUSIVE:
        open_ = open_._replace(severity=Severity.NOTE, hint="", steps=())  # it passed: there is nothing to do
    return (*found, open_)


def slower_together(request: PushRequest, row: Sequence[BranchHead]) -> tuple[Finding, ...]:
    """PRF001, a warning: what the heads of a branch say together, where that is enough. One alone speaks for itself."""
    log_e = sum(head.log_e for head in row)
    if len(row) < 2 or log_e < log(sign_flip.WARNS):
        return ()
    e_value = f"{exp(log_e):.0f}" if log_e < log(1e6) else "more than a million"
    message = (
        f"several pushes of this branch together look slower: CPU time of {len(row)} heads against the same base, "
        f"e = {e_value} (if none were slower, the chance of {sign_flip.WARNS:.0f} or more is 2.5 %)"
    )
    return (about(request, "PRF001", Severity.WARNING, message, request.reproduce),)


def stored_findings(
    request: PushRequest, policy: Policy, judgement: Judgement, commit: str | None
) -> tuple[Finding, ...]:
    """What a comparison with the stored baseline has to say of the counters; times only raise a suspicion."""
    basis = f"; against the stored baseline of {(commit or 'no commit')[:12]}"
    return tuple(_worse(request, policy, judgement._replace(metrics=()), lambda _: "", basis))


def _worse(
    request: PushRequest, policy: Policy, judgement: Judgement, carrier: Callable[[str], str], basis: str
) -> Iterator[Finding]:
    """What got worse, one by one. `carrier` tells where a change in a time comes from, `basis` how it is known."""
    for one in _all(judgement):
        if one.verdict in WEIGHTS and not _is_probable(one):
            metric = policy.metrics[one.name]
            stage = carrier(one.name) if metric.kind is MetricKind.TIME else ""
            where = f" in stage {stage}" if stage else ""
            changed = _change(one) if isinstance(one, Compared) else one.reason or words.values_of(one)
            limit = f"; refused from {words.percent(metric.block)}" if one.verdict is Verdict.WARN else ""
            colon = ":" if isinstance(one, Compared) and one.estimate is None else ""
            message = f"{declared.title(one.name)}{colon} {changed}{where}{basis}{limit}"
            yield about(request, RULES[metric.kind], WEIGHTS[one.verdict], message, request.reproduce)


def _probable(request: PushRequest, policy: Policy, measurement: Measurement, basis: str) -> Iterator[Finding]:
    """What is only probably worse, how many pairs are missing, and the budget that holds them."""
    for one in measurement.judgement.metrics:
        if not one.probably or _is_open(one, policy):
            continue
        kind, step = policy.metrics[one.name].kind, request.reproduce
        stage = measurements.carrier(measurement, one.name) if kind is MetricKind.TIME else ""
        change = f"{words.probable(one)}{f' in stage {stage}' if stage else ''}"
        needed = words.missing(one)
        if words.within_reach(one) and measurement.pair_seconds:
            budget = measurements.budget_for(measurement, one.pairs + (one.pairs_missing or 0))
            needed += f" ({budget} s in total)"
            step = Step(DECIDE, request.command(f"{budget}s"))
        message = f"{declared.title(one.name)} {'; '.join(filter(None, (change, needed)))}{basis}"
        yield about(request, RULES[kind], Severity.WARNING, message, step)


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


def tolerated(request: PushRequest, measurement: Measurement) -> Iterator[Finding]:
    """PRF005, a warning: stages that may fail, do so in every run of head, and did in none of base."""
    runs = [[pair[at] for pair in measurement.samples if not pair[at].failure] for at in (0, 1)]
    base, head = ([{one.stage: one for one in ran.tolerated} for ran in side] for side in runs)
    for name, one in (head or [{}])[0].items():
        if all(name in ran for ran in head) and not any(name in ran for ran in base):
            message = f"{failed_stage(one)}; it is allowed to fail, but did not before: what fails early is fast"
            yield about(request, "PRF005", Severity.WARNING, message, request.reproduce)


def is_open(one: Finding) -> bool:
    """Whether another measurement may say otherwise."""
    return one.rule in ("PRF003", "PRF004") and one.severity is not Severity.NOTE


def may_change(found: Sequence[Finding], judgement: Judgement) -> bool:
    """Whether more pairs of the same trees may say otherwise."""
    refused = judgement.verdict is Verdict.FAIL
    judged = (*judgement.metrics, *(judgement.benchmarks.judged if judgement.benchmarks else ()))
    return any(map(is_open, found)) or (not refused and any(map(_is_probable, judged)))


def undecided(request: PushRequest, why: str, policy: str, *steps: Step, hint: str = "") -> Finding:
    """PRF004; an error where the policy blocks, which ends in exit code 3."""
    severity = Severity.ERROR if policy == "block" else Severity.WARNING
    default = () if hint else (Step(DECIDE, request.command()),)
    return about(request, "PRF004", severity, why, *(steps or default), hint=hint)


def suspected(request: PushRequest, judgement: Judgement, names: Sequence[str], policy: str) -> Finding:
    """PRF004: of one run of head not enough is known in these metrics to hold it to the stored baseline."""
    bounds = [one for one in _all(judgement) if one.name in names]
    parts = [words.compared(one) if isinstance(one, Compared) else words.counted(one) for one in bounds]
    return undecided(request, "; ".join(parts), policy, hint=WHOLE)


def uncounted(request: PushRequest, names: Sequence[str], notes: Sequence[str], policy: str) -> Finding:
    """PRF004: this machine could not count the file events of head's run that the stored baseline has."""
    listed = " and ".join(declared.title(name) for name in names)
    why = notes[0] if notes else "file events not counted"
    return undecided(request, f"{listed} not held to the stored baseline: {why}", policy)


def with_differences(found: tuple[Finding, ...], measurement: Measurement) -> tuple[Finding, ...]:
    """With what else differs, beside the first finding that may be about it."""
    return with_line(found, next(measurements.also(measurement), ""))


def with_line(found: tuple[Finding, ...], line: str) -> tuple[Finding, ...]:
    """With a line, if there is one, beside the first finding about the speed of head."""
    first = next((at for at, one in enumerate(found) if line and one.rule in (*RULES.values(), "PRF004")), None)
    if first is None:
        return found
    one = found[first]._replace(message=f"{found[first].message}; {line}")
    return (*found[:first], one, *found[first + 1 :])


def failed_stage(one: Failure) -> str:
    """`stage crunch fails at head: exit 3: last line of its output`."""
    return f"{one.subject} fails at {one.side}: {one.detail}" + (f": {one.last_line}" if one.last_line else "")


def head_failed(request: PushRequest, one: Failure) -> Finding:
    """PRF005: base runs and head does not."""
    clause = f" fails and did not before: {failed_stage(one)}"
    return that(request, "PRF005", Severity.ERROR, clause, request.reproduce, hint="fix the failure first")


def no_baseline(request: PushRequest, why: str, severity: Severity = Severity.WARNING) -> Finding:
    """PRF003, with the command that records one."""
    record = Step("to record a baseline", f"orchgate baseline record {shlex.quote(request.pipeline)}")
    steps = (record,) if severity is Severity.NOTE else (record, Step("to compare now", request.command()))
    return that(request, "PRF003", severity, f" was not compared: {why}", *steps)


def facts(measurement: Measurement) -> dict[str, object]:
    """The numbers behind a verdict, for `--explain` and programs."""
    judgement = measurement.judgement
    return {
        "verdict": judgement.verdict.value,
        "metrics": [plain(one) for one in judgement.metrics],
        "counters": [plain(one) for one in judgement.counters],
        **reported_benchmarks.facts(judgement.benchmarks),
        "stages": [stage._asdict() for stage in measurement.stages],
        "notes": [*measurement.notes, *judgement.notes],
        "differs": list(measurement.differs),
        "stopped": measurement.stopped.value,
        "seconds": round(measurement.seconds, 3),
        "noise": measurement.noise,
        "instructions": measurements.instructions(measurement),
    }


def failed_at_head(request: PushRequest, failure: Failure) -> Finding:
    """PRF007 where head can no longer run what the base defines, PRF005 where it runs and fails."""
    why = _why(request, failure)
    if not why:
        return head_failed(request, failure)
    clause = f" can no longer be run as the base defines it: {failed_stage(failure)}; {why}"
    return that(request, "PRF007", Severity.ERROR, clause, hint=_KEEP)


def _why(request: PushRequest, failure: Failure) -> str:
    change = request.redefined
    if change is not None and (change.prepared if failure.stage == "prepare" else change.staged):
        return f"this change {definition.some(change.edits)}"
    if gone := next(_gone(request, failure.stage), ""):
        return f"this change removes {gone}"
    return "the command is not found" if failure.not_found else ""


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


def of_benchmarks(request: PushRequest, policy: Policy, measurement: Measurement, basis: str) -> Iterator[Finding]:
    """Those that moved, worst first, then those that failed, then what only one side has, and what stayed open."""
    named = measurement.judgement.benchmarks
    if named is None:
        return
    if named.verdict is Verdict.BROKEN:
        yield about(request, "PRF004", Severity.ERROR, named.reason, request.reproduce)
        return
    if named.verdict is Verdict.FAIL and not named.judged:
        yield about(request, "PRF005", Severity.ERROR, named.reason, request.reproduce)
        return
    movers = reported_benchmarks.movers(named)
    where = f" in stage {stage}" if (stage := _reporter(measurement)) else ""
    for one in movers[: reported_benchmarks.MOST]:
        message = f"{reported_benchmarks.moved(one)}{where}{basis}{_benchmark_limit(one, policy)}"
        yield about(request, *_weight((one,), policy), message, request.reproduce)
    if more := movers[reported_benchmarks.MOST :]:
        what = f"{len(more)} more benchmark{'s' * (len(more) != 1)} got slower{where}"
        yield about(request, *_weight(more, policy), what, request.reproduce)
    yield from _failed_benchmarks(request, named)
    yield from _changed_benchmarks(request, named)
    yield from _open_benchmarks(request, policy, named, measurement)


def _weight(movers: Sequence[Compared], policy: Policy) -> tuple[str, Severity]:
    """The rule and the weight of benchmarks that moved, worst first. Where what is undecided blocks, so is probable."""
    if policy.inconclusive == "block" and movers[0].verdict is Verdict.WARN and any(one.probably for one in movers):
        return "PRF004", Severity.ERROR
    return "PRF001", WEIGHTS[movers[0].verdict]


def _benchmark_limit(one: Compared, policy: Policy) -> str:
    """The change from which on it would be refused, for a warning."""
    if one.verdict is not Verdict.WARN or one.probably:
        return ""
    metric = reported_benchmarks.limit(one.name, policy.benchmarks.limits)
    return f"; refused from {words.percent(metric.block)}"


def _reporter(measurement: Measurement) -> str:
    """The stage that wrote the results, where there are several."""
    if len(measurement.stages) < 2:
        return ""
    return next((ran.reporter for pair in reversed(measurement.samples) for ran in pair if ran.reporter), "")


def _failed_benchmarks(request: PushRequest, named: BenchmarkJudgement) -> Iterator[Finding]:
    charged = [one for one in named.failed if one.verdict in WEIGHTS]
    for one in charged[: reported_benchmarks.MOST]:
        yield about(request, "PRF005", WEIGHTS[one.verdict], reported_benchmarks.failed(one), request.reproduce)
    if more := charged[reported_benchmarks.MOST :]:
        worst = Severity.ERROR if any(one.verdict is Verdict.FAIL for one in more) else Severity.WARNING
        what = "1 more benchmark has no result" if len(more) == 1 else f"{len(more)} more benchmarks have no result"
        yield about(request, "PRF005", worst, what, request.reproduce)
    others = [one for one in named.failed if one.verdict not in WEIGHTS]
    for line in reported_benchmarks.first([reported_benchmarks.failed(one) for one in others]):
        yield about(request, "PRF004", Severity.NOTE, line)


def _changed_benchmarks(request: PushRequest, named: BenchmarkJudgement) -> Iterator[Finding]:
    severity = Severity.WARNING if named.only_on_base else Severity.NOTE
    for line in reported_benchmarks.changed(named):
        yield about(request, "PRF007", severity, line, hint=_NEW_NAME)


def _open_benchmarks(
    request: PushRequest, policy: Policy, named: BenchmarkJudgement, measurement: Measurement
) -> Iterator[Finding]:
    """Some of many always stay open: a line. All of them, or where that blocks: what decides it."""
    if any(one.verdict is Verdict.INCONCLUSIVE for one in named.judged):
        blocks = Severity.ERROR if policy.inconclusive == "block" else Severity.WARNING
        matters = named.verdict is Verdict.INCONCLUSIVE or policy.inconclusive == "block"
        steps = (_with_time(request, named, measurement),) if matters else ()
        yield about(request, "PRF004", blocks if matters else Severity.NOTE, reported_benchmarks.rest(named), *steps)


def _with_time(request: PushRequest, named: BenchmarkJudgement, measurement: Measurement) -> Step:
    """The measurement again, with time for the pairs that all benchmarks need."""
    if not named.reason or not measurement.pair_seconds:
        return Step(DECIDE, request.command())
    return Step(DECIDE, request.command(f"{ceil((named.needed + 2) * measurement.pair_seconds)}s"))
