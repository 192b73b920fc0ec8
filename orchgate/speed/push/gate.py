"""Is head slower than base? Answered from the record, by pairs of runs, or by one run against the stored baseline."""

from __future__ import annotations

import weakref

from orchgate import __version__
from orchgate.errors import ConfigError, GitError, OrchgateError, quoted
from orchgate.git.call import common_dir
from orchgate.lib.paths import matches
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Outcome, Severity, Step, Trouble, Verdict
from orchgate.runner.environment import unhooked
from orchgate.speed import definition
from orchgate.speed.push import bounds, reach, verdict_record
from orchgate.speed.push.bounds import BothFail
from orchgate.speed.push.verdict_record import ComparisonKey, SittingResult, StoredVerdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.push.bounds import PushRequest
    from orchgate.speed.push.measure import PushMeasurement
    from orchgate.speed.push.verdict_record import OpenSitting, VerdictRecord
    from orchgate.verdict.values import Compared

# What no pipeline's speed depends on, unless performance.paths says otherwise: documents, evidence, the baseline.
IRRELEVANT = ("**/*.md", "docs/**", "tasks/**", ".orchgate/**", "**/LICENSE*")
PAIRS = "measured pairs"
# What was answered while a repository is open: refs of one push that hold the same trees are measured once, also where
# nobody could tell. It goes with the repository, so nothing outlives the push.
_answered: weakref.WeakKeyDictionary[Repository, dict[ComparisonKey, tuple[str, PushResult]]] = (
    weakref.WeakKeyDictionary()
)


class PushResult(NamedTuple):
    """What there is to report; `facts` are JSON-able.

    `pairs` are new ones, `earlier` those of other pushes; `runs` are those of head alone. `recorded_at` is when it was
    measured, "" for now. `ref` is the other one of this push that it was measured for, "" for this one. `held`:
    something else kept it from being measured. `measurement` is that by pairs which was made now.
    """

    findings: tuple[Finding, ...] = ()
    pairs: int = 0
    runs: int = 0
    facts: Mapping[str, object] = {}
    recorded_at: str = ""
    earlier: int = 0
    ref: str = ""
    held: bool = False
    measurement: Measurement | None = None


def outcome(request: PushRequest, *, excused: bool) -> Outcome:
    """All there is to report about a push's speed. `excused`: a reason was given why it may land anyway.

    Raises OrchgateError where nobody can find out.
    """
    request, new = _with_change(request)
    if new is not None:
        return _not_measured("the pipeline is new", (new,))
    if why := _irrelevant(request):
        return _not_measured(why, definition.findings(request.redefined, {}) if request.redefined else ())
    performance = request.config.performance
    history = tuple(bounds.of_history(performance, request.repository.root))
    try:
        result = answer(request)
    except BothFail as error:
        return _both_fail(request, error, history, excused=excused)
    unmeasured = bounds.unmeasured(performance, result.measurement) if result.measurement else ()
    behind, facts = _trend(request, result)
    return Outcome((*history, *result.findings, *unmeasured, *behind), _examined(result), {**result.facts, **facts})


def _trend(request: PushRequest, result: PushResult) -> tuple[tuple[Finding, ...], Mapping[str, object]]:
    """What the recorded runs behind a push say, and why nobody looked: no reason to refuse it, nor to say more then."""
    if any(one.severity is Severity.ERROR for one in result.findings):
        return (), {}
    from orchgate.speed.push import trend_note

    try:
        return trend_note.notes(request, _machine()), {}
    except (OrchgateError, OSError) as error:
        return (), {"trend": f"not looked at: {trend_note.why_not(error)}"}


def _not_measured(why: str, reported: tuple[Finding, ...]) -> Outcome:
    return Outcome(reported, {PAIRS: 0}, {"not measured": why})


def _examined(result: PushResult) -> dict[str, int]:
    others = {
        "earlier pairs": result.earlier,
        "recorded verdicts": int(bool(result.recorded_at)),
        "shared verdicts": int(bool(result.ref)),
        "screened runs": result.runs,
    }
    return {PAIRS: result.pairs, **{name: number for name, number in others.items() if number}}


def only_proposed(request: PushRequest, unread: str) -> Finding:
    """Of a pipeline that only the change asks to measure; `unread` says why base's configuration cannot be read."""
    assert request.proposed is not None
    if not unread:
        name = request.proposed.performance.pipeline
        return definition.introduced(name, defined=request.limits is not None and name in request.limits.pipelines)
    from orchgate.speed.push import findings

    proposed = request._replace(config=request.proposed)
    return findings.no_baseline(proposed, f"the configuration of the base cannot be read ({unread})")


def _with_change(request: PushRequest) -> tuple[PushRequest, Finding | None]:
    """The request with what the change does to the pipeline; or what is reported of one that base does not define."""
    if request.base is None or not definition.touched(request.paths, request.pipeline):
        return request, None
    ends = request.repository, request.base, request.head
    try:
        change = definition.between(*ends, request.pipeline, request.limits or request.config)
    except definition.NoPipeline:
        # One that nobody defines is an error.
        definition.read(request.repository, request.head, request.pipeline, "head")
        return request, definition.introduced(request.pipeline)
    except ConfigError:  # base's cannot be run: there is no definition to compare head's with
        return request, None
    return request._replace(redefined=change), None


def _irrelevant(request: PushRequest) -> str:
    """Why the change cannot matter; "" when it may."""
    if request.base is None:
        return ""
    configs = [one for one in (request.limits, request.proposed) if one is not None]
    if any(_is_relevant(request.paths, config) for config in configs):  # narrowing it does not help
        return ""
    named = request.config.performance.paths
    if not named and _is_run(request, request.base):
        return ""
    why = "none that performance.paths names" if named else "documents and evidence only"
    return f"{counted(len(request.paths), 'changed file')}, {why}"


def _is_run(request: PushRequest, base: str) -> bool:
    """Whether the pipeline names some of the changed paths: a script is none of the documents that it lies among."""
    try:
        stages = definition.read(request.repository, base, request.pipeline, "base").stages
    except ConfigError:
        return False  # there is nothing to run on both sides
    return not reach.named(stages, request.tree).isdisjoint(request.paths)


def _is_relevant(paths: Collection[str], config: Config) -> bool:
    """Whether a configuration finds some of the changed paths worth measuring."""
    if relevant := config.performance.paths:
        return any(matches(path, relevant) for path in paths)
    ignored = (*IRRELEVANT, *(f"{root.rstrip('/')}/**" for root in config.evidence.roots))
    return not all(matches(path, ignored) for path in paths)


def _both_fail(request: PushRequest, error: BothFail, reported: tuple[Finding, ...], *, excused: bool) -> Outcome:
    """Nothing was measured: a warning where the change is shown to have nothing to do with it, or gives a reason."""
    from orchgate.runs.stages import Stage

    command = request.config.performance.setup
    prepare = (Stage("prepare", "prepare", command),) if command else ()
    apart = reach.untouched((*error.stages, *prepare), request.tree, request.paths)
    steps = (*((Step("to see why", error.command),) if error.command else ()), request.reproduce)
    if not (apart or excused):
        return Outcome(reported, {PAIRS: 0}, {}, (Trouble(Location(""), error.message, steps=steps),))
    message = f"{error.message}; nothing was measured"
    message += ", and the change touches nothing that it runs" if apart else ""
    severity = Severity.WARNING if apart else Severity.ERROR
    found = Finding("PRF003", Location(""), message, severity=severity, steps=steps)
    return Outcome((*reported, found), {PAIRS: 0}, {"not measured": error.message})


def answer(request: PushRequest) -> PushResult:
    """What there is to say about head's speed. Raises OrchgateError where nobody can find out."""
    if request.base is None:
        from orchgate.speed.push.findings import no_baseline

        return PushResult((no_baseline(request, "there is no commit before it", Severity.NOTE),))
    trees = tree_of(request.repository, request.base), tree_of(request.repository, request.head)
    if trees[0] == trees[1]:
        return PushResult(facts={"not measured": "base and head hold the same files"})
    key = ComparisonKey(*trees, _asked(request), _machine())
    before = _answered.setdefault(request.repository, {})
    if key in before:
        return _shared(*before[key])
    record = verdict_record.opened(request.environ, common_dir(request.repository.git_dir), key, request.branch)
    found = _from_record(request, record) if record.entry.conclusive else _measured(request, record)
    if not found.held:  # what kept this ref may not keep the next
        before[key] = (request.branch or request.head[:12], found)
    return found


def _shared(ref: str, answer_: PushResult) -> PushResult:
    """An answer of another ref of this push, which holds the same trees."""
    reported = tuple(one._replace(message=f"{one.message} (as for {ref})") for one in answer_.findings)
    return answer_._replace(
        findings=reported, pairs=0, earlier=0, runs=0, facts={"measured for": ref}, ref=ref, measurement=None
    )


def _measured(request: PushRequest, record: VerdictRecord) -> PushResult:
    if not request.repository.root:
        raise OrchgateError("a bare repository has no work tree to run a pipeline in", "run it in a clone")
    if why := request.hold():
        from orchgate.speed.push.findings import not_measured

        return PushResult((not_measured(request, why),), facts={"not measured": why, **record.facts}, held=True)
    from orchgate.speed.push.measure import measured

    sitting = verdict_record.begin(record)
    with verdict_record.give_back_on_error(sitting):
        found = measured(request, record.key.machine, record.ran, sitting)
        found = _with_definition(request, _with_differences(request, found))
    result = _sitting_result(request, sitting, found)
    facts = verdict_record.end(sitting, result)
    if record.store:  # that this machine has no place for it is not worth a warning at every push
        for name in ("not trusted", "not recorded"):
            if name in facts:
                request.tell(f"{name}: {facts[name]}")
    reported = (*found.findings, *_of_branch(request, record, result.log_e, slower=result.slower))
    earlier = len(found.measurement.earlier) if found.measurement else 0
    return PushResult(
        reported, found.pairs, found.runs, {**found.facts, **facts}, earlier=earlier, measurement=found.measurement
    )


def _with_differences(request: PushRequest, found: PushMeasurement) -> PushMeasurement:
    """What was found without pairs, and what else than the code differs, where that may explain it."""
    from orchgate.speed import measurements, work_trees
    from orchgate.speed.push import findings

    if not found.findings or found.measurement:
        return found
    assert request.base is not None  # or nothing would have been measured
    differs = (
        *work_trees.of_trees(request.repository, request.base, request.head),
        *work_trees.set_variables(request.redefined.variables if request.redefined else ()),
        *work_trees.other_machine(request.repository, request.base, request.pipeline),
    )
    reported = findings.with_line(found.findings, next(measurements.also_differs(differs), ""))
    return found._replace(findings=reported, facts={**found.facts, "differs": list(differs)})


def _with_definition(request: PushRequest, found: PushMeasurement) -> PushMeasurement:
    """What a measurement found, and what the change does to the definition of what was measured."""
    change = request.redefined
    if change is None or not change.phrases:
        return found
    from orchgate.speed import definition, work_trees

    budget = request.config.performance.max_seconds
    costs: dict[str, str] = dict.fromkeys(change.added, work_trees.NOT_MEASURED)
    if found.measurement and found.pairs:
        left = budget - found.measurement.seconds
        costs = work_trees.added_costs(
            request.repository,
            request.head,
            change,
            environ=unhooked(request.environ),
            prepare=request.config.performance.setup,
            seconds=max(left, work_trees.SHARE * budget),
        )
    # Where head cannot be run for it, that says what the change does.
    known = (change.staged or change.prepared) and any(one.rule == "PRF007" for one in found.findings)
    reported = found.findings if known else (*found.findings, *definition.findings(change, costs))
    return found._replace(findings=reported, facts={**found.facts, **definition.facts(change, costs)})


def _sitting_result(request: PushRequest, sitting: OpenSitting, found: PushMeasurement) -> SittingResult:
    """What is to be kept of a measurement. Failures are nobody's evidence, and what is decided needs no more pairs."""
    at = request.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    measurement = found.measurement
    compared = measurement.judgement.metrics if measurement else ()
    earlier = len(measurement.earlier) if measurement else 0
    entry = StoredVerdict(at, found.conclusive, earlier + found.pairs, found.findings)
    ran = tuple(one._replace(at=at) for one in found.ran)
    result = SittingResult(entry, ran=ran)
    if measurement is None or measurement.failures or not measurement.pairs:
        return result._replace(pairs=measurement.pairs if measurement else ())
    from orchgate.verdict.values import Sitting

    measured_now = measurement.sitting or Sitting(earlier, entry.judged, sitting.share)
    return result._replace(
        pairs=measurement.pairs,
        sitting=measured_now,
        log_e=_log_e(request, measurement),
        slower=any(map(_is_slower, compared)),
    )


def _is_slower(one: Compared) -> bool:
    """Whether it is decided that head takes more time, by however little."""
    return one.name.endswith("_seconds") and one.verdict in (Verdict.WARN, Verdict.FAIL) and not one.probably


def _log_e(request: PushRequest, measurement: Measurement) -> float | None:
    """What all pairs of head say of its CPU time."""
    from orchgate.verdict import sign_flip
    from orchgate.verdict.sequential import PRIMARY
    from orchgate.verdict.values import policy

    metric = policy(request.config.performance).metrics.get(PRIMARY)
    pairs = (*measurement.earlier, *measurement.pairs)
    return None if metric is None else sign_flip.log_e_value(pairs, metric) or None


def _of_branch(
    request: PushRequest, record: VerdictRecord, log_e: float | None, *, slower: bool
) -> tuple[Finding, ...]:
    """What this head and those before it on its branch say together."""
    if log_e is None or log_e <= 0 or slower or not record.branch:
        return ()
    from orchgate.speed.push import verdict_record
    from orchgate.speed.push.findings import slower_together

    row = verdict_record.with_head(record.heads, verdict_record.BranchHead(record.key.head, log_e))
    return slower_together(request, row)


def tree_of(repository: Repository, commit: str) -> str:
    """Hex id of a commit's tree. Raises GitError."""
    found = repository.blobs.resolve(commit + "^{tree}", 0)
    if found is None:
        raise GitError(f"the tree of {commit[:12]} is not here", repository.deepen)
    return found.oid


def _asked(request: PushRequest) -> str:
    """Everything besides the two trees that decides what a measurement says. Pipelines are part of the trees."""
    performance = request.config.performance
    programs = reach.programs(request.config, request.repository.root, request.environ)
    return verdict_record.digest(
        [__version__, verdict_record.VERSION, performance._replace(max_seconds=0.0), *programs]
    )


def _machine() -> str:
    from orchgate.runs.machine import fingerprint

    return str(fingerprint()["fingerprint"])


def _from_record(request: PushRequest, record: VerdictRecord) -> PushResult:
    known = record.entry
    again = Step("to measure again", f"rm {quoted(record.path)}")
    reported = tuple(
        one._replace(
            message=f"{one.message} (from the record of {known.at})",
            # A note is no reason to measure again.
            hint="" if one.severity is Severity.NOTE else one.hint,
            steps=() if one.severity is Severity.NOTE else (*one.steps, again),
        )
        for one in known.findings
    )
    log_e = next((head.log_e for head in record.heads if head.tree == record.key.head), None)
    facts = {"recorded at": known.at, "recorded pairs": known.judged, **record.facts}
    return PushResult((*reported, *_of_branch(request, record, log_e, slower=False)), 0, 0, facts, known.at)
