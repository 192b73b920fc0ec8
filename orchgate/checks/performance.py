"""What is pushed makes the pipelines no slower and no worse, shown by running base and head in turn."""

from __future__ import annotations

from functools import partial

from orchgate.errors import OrchgateError
from orchgate.gate.context import OF_REF
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Check, Outcome, Rule, RunOrder, Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.gate.context import Context
    from orchgate.model import Finding, Step
    from orchgate.speed.push.bounds import Override, PushRequest

ID = "performance"
NOT_SET = "performance.pipeline is not set"

BOUNDS = "performance.metrics.NAME in the configuration: fail-above, tolerance, max and min, in a commit of its own"
OVERRIDE = "a commit trailer Performance-Override: REASON, or ORCHGATE_PERFORMANCE_OVERRIDE=REASON git push"

RULES = (
    Rule(
        "PRF001",
        "slower beyond the tolerance",
        Severity.ERROR,
        what="The pipeline takes more CPU or wall time at head than at base. Both are run here alternately, in random "
        "order, until the difference is larger than chance explains. It is an error from the blocking threshold on (5 "
        "% of CPU time, 10 % of wall time), and a warning below it, down to a tolerance of 1 %. A change that is only "
        "probably slower (chance alone gives such a result once in 40 times) is a warning that says how many pairs are "
        "missing. Head is refused at once if the fastest of three runs takes one and a half times as long as the "
        "slowest of base, or if it twice fails to finish within five times the duration of base and a second more. "
        "Named benchmarks are judged one by one, and all of them together. Several heads of a branch that together "
        "look slower than their base (an e-value of 40 or more) are a warning, never an error.",
        why="Every change makes a pipeline a little slower, and nobody notices which one did. Comparing with a stored "
        "number blames the machine; running both sides now blames the change.",
        bad="a commit after which the stage `test` parses its fixtures once for each test: CPU time +20 % (18 to 22 "
        "%), all of it in `test`",
        good="the fixtures parsed once; or `Performance-Override: what the time buys` as a trailer of the commit; or a "
        "separate commit that raises performance.metrics.cpu-seconds.fail-above",
        exceptions=(OVERRIDE, BOUNDS),
    ),
    Rule(
        "PRF002",
        "a counter went up",
        Severity.ERROR,
        what="Head writes more files, bytes or manifests, starts more processes or passes fewer tests than base, or a "
        "number is outside the `max` or `min` that performance.metrics sets for it, such as that of changed lines "
        "(diff-lines). Counters are compared exactly: an error once five runs of each side agree, a warning before "
        "that. A counter that differs between two runs of the same tree is judged like a time. More bytes read are a "
        "warning, unless their `fail-above` is set.",
        why="A counter has no noise: one more manifest write per run is true on every machine, and shows long before a "
        "clock does.",
        bad="manifest writes 2 -> 3",
        good="the state collected in memory and written once at the end of the run",
        exceptions=(OVERRIDE, BOUNDS),
    ),
    Rule(
        "PRF003",
        "no baseline",
        Severity.WARNING,
        what="There is nothing to compare head with: no base that could be run, and no stored baseline of this "
        "pipeline for this type of machine. On a first push it is a note.",
        why="Head was not judged, and that has to be visible: a pass would claim a comparison that nobody made.",
        bad="a base that does not define the pipeline, and no .orchgate/baseline.json",
        good="`orchgate baseline record PIPELINE`, and the file committed",
    ),
    Rule(
        "PRF004",
        "inconclusive",
        Severity.WARNING,
        what="The runs that fit into performance.max-seconds cannot tell whether head is slower. The message says how "
        "small a change they could have shown, or what a single run of head was compared with. With severity.PRF004 = "
        '"error" the check ends in exit code 3.',
        why="A busy machine hides a slowdown as easily as it feigns one; both a pass and a refusal would be made up.",
        bad="twelve pairs on a machine that runs a build: 9 % or more would have been seen, 5 % would not",
        good="a larger performance.max-seconds, a quiet machine, the `orchgate perf` command of the hint, or the CI "
        "job that `orchgate perf --print-job github` prints",
        refuses=Verdict.INCONCLUSIVE,
        worst=Severity.ERROR,
        exceptions=(OVERRIDE,),
    ),
    Rule(
        "PRF005",
        "success or test pass rate fell",
        Severity.ERROR,
        what="The pipeline fails at head and succeeds at base, or a smaller share of its runs succeeds or of its tests "
        "passes, or a rate is below the `min` of performance.metrics, or a benchmark no longer has a result at head.",
        why="A pipeline that fails early is fast. Its times say nothing and are not compared.",
        bad="stage `test` exits with 1 at head and with 0 at base",
        good="the failure fixed first; then the speed is judged",
        exceptions=(OVERRIDE, BOUNDS),
    ),
    Rule(
        "PRF006",
        "more memory",
        Severity.ERROR,
        what="The largest resident set size of any process of the pipeline grew beyond the threshold (3 % and 1 MiB), "
        "shown in the way PRF001 shows a time.",
        why="A process that needs too much memory does not get slower, it gets killed: on the smallest machine first, "
        "and never with a message.",
        bad="a log read as a whole to count its lines: memory +310 %",
        good="the log read line by line",
        exceptions=(OVERRIDE, BOUNDS),
    ),
    Rule(
        "PRF007",
        "what is measured changed",
        Severity.WARNING,
        what="The change edits the pipeline that pushes are measured by: its stages, commands, environment or order, "
        "also through codex.orchestrator.json or a pipeline that it calls. Both sides are run as the base defines it, "
        "and the new definition takes effect from the next push on; stages that are only added are a note with their "
        "cost. It is an error when head can no longer run what the base defines. A pipeline that the base does not "
        "have is a note.",
        why="A slow stage with another name, or another command, would never be compared with anything: whoever edits "
        "the definition together with the code would face no gate.",
        bad="one change that makes work.py slower, renames its stage and removes the script that the base runs",
        good="the definition changed so that the base's still runs at head; or a commit trailer that says why it "
        "cannot: `Performance-Override: the benchmark moved to tools/`",
        worst=Severity.ERROR,
        exceptions=(OVERRIDE,),
    ),
    Rule(
        "PRF008",
        "override used",
        Severity.NOTE,
        what="The commit trailer `Performance-Override: reason`, in any commit of the judged branch itself, or the "
        "environment variable ORCHGATE_PERFORMANCE_OVERRIDE for one push, turns what would have been refused into "
        "warnings. The change is measured all the same, and the reason is shown even where nothing needed it. A "
        "trailer that only arrived with a merge excuses nothing, because a pipeline is measured as a whole.",
        why="Some changes are worth their time. An exception is fine as long as everybody sees it and its reason.",
        bad="ORCHGATE_PERFORMANCE_OVERRIDE=yes git push",
        good="Performance-Override: every record is checked now, 8 % of the import",
    ),
    Rule(
        "PRF009",
        "the trend has a change behind it",
        Severity.NOTE,
        what="The recorded runs of the pushed commits and of those before them, the own ones and those that were "
        "fetched with `orchgate history fetch`, show that the CPU time of the pipeline rose for good, on this type of "
        "machine: in a pushed commit, or in one of the 20 before. It is told when that is at least 99 % sure, the rise "
        "is 2 % or more, and no baseline was accepted since. Nothing is measured for it, nobody is asked over the "
        "network, and no push is refused for it.",
        why="A measurement shows what one push adds; a few runs of a day do not show what crept in with others, and "
        "many recorded ones do. Whoever has just changed something is the one who can still say what it was.",
        bad="CPU time +16.7 % (0.326 s -> 0.380 s) after 604fe14, up to 4f312c4 (2 commits), in this push",
        good="`orchgate bisect` for the commit, or a baseline that accepts it: `orchgate baseline record --force "
        '--reason "what the time buys"`',
    ),
)


def run(ctx: Context) -> Outcome:
    settings = ctx.config.performance
    if not settings.pipeline and not ctx.proposed.performance.pipeline and not settings.metrics:
        return _not_measured(NOT_SET)._replace(facts={"not measured": NOT_SET, "off": "no pipeline"})
    from orchgate.speed.push import bounds

    # Without a base there is nothing to compare, and all of the history would be read for a reason.
    exceptions = ctx.exceptions if ctx.scope.base is not None or ctx.scope.kind == "staged" else None
    excused = bounds.find_override(ctx.environ, exceptions)
    outcome = _judged(ctx, excused)
    if excused is None:
        way_out = partial(_way_out, ctx)
        in_vain = bounds.overrides_in_vain(exceptions, way_out) if exceptions else ()
        troubles = tuple(one._replace(steps=(*one.steps, way_out())) for one in outcome.troubles)
        findings = (*bounds.hinted(outcome.findings, way_out), *in_vain)
        return outcome._replace(findings=findings, troubles=troubles)
    lifted = bounds.lifted(outcome.findings)
    if ctx.scope.kind == "staged" and not lifted:
        return outcome  # it is reported where commits are judged
    return outcome._replace(findings=(*lifted, bounds.override_used(excused, outcome.findings)))


def _not_measured(why: str, findings: tuple[Finding, ...] = ()) -> Outcome:
    return Outcome(findings, {"measured pairs": 0}, {"not measured": why})


def _judged(ctx: Context, excused: Override | None) -> Outcome:
    size = tuple(_size(ctx))
    if why := _not_asked(ctx):
        return _not_measured(why, size)
    from orchgate.speed.push import gate

    request = _request(ctx)
    if not ctx.config.performance.pipeline:
        return _not_measured(NOT_SET, (*size, gate.only_proposed(request, ctx.unread)))
    outcome = gate.outcome(request, excused=excused is not None)
    return outcome._replace(findings=(*size, *outcome.findings))


def _way_out(ctx: Context) -> Step:
    from orchgate.speed.push.bounds import way_out

    staged = ctx.scope.kind == "staged"
    ctx.asked(OF_REF)  # whether it is checked out
    here = ctx.repository is None or ctx.scope.head in (None, ctx.repository.head)
    return way_out(staged=staged, checked_out=here and bool(ctx.root))


def _not_asked(ctx: Context) -> str:
    """Why nobody asked for a measurement; "" when it was asked for."""
    if not ctx.config.performance.pipeline and not ctx.proposed.performance.pipeline:
        return NOT_SET
    if ID in ctx.named and ctx.scope.kind != "staged":
        return ""
    match ctx.scope.kind:
        case "staged" | "commit":
            return "a commit is not measured, its push is"
        case "tree" if ctx.scope.head is None or not ctx.root:
            return "a whole tree is measured only by name: `orchgate check performance`"
        case _ if ctx.scope.head is None:
            return "what is not committed is measured only by name: `orchgate check performance`"
    return ""


def _size(ctx: Context) -> Iterator[Finding]:
    """What is beyond the bounds on the size of the change itself; nothing of a first push, which is all there is."""
    first_push = ctx.scope.base is None and ctx.scope.head is not None
    if not ctx.config.performance.metrics or ctx.scope.unknown is not None or first_push:
        return
    from orchgate.speed.push import bounds

    ignored = ctx.config.tables.named("diff-budget").exclude
    counted = [change for change in ctx.scope.changes if not matches(change.path, ignored)]
    lines = sum((change.added or 0) + (change.removed or 0) for change in counted)
    yield from bounds.of_size(ctx.config.performance, len(counted), lines)


def _request(ctx: Context) -> PushRequest:
    """Raises the OrchgateError of a scope without a base."""
    from orchgate.speed.push.bounds import PushRequest

    assert ctx.repository is not None  # only a folder has none, and nobody pushes a folder
    head = ctx.scope.head or ctx.repository.head
    if head is None:
        raise OrchgateError("there is no commit to measure", "commit something first, then run it again")
    paths = {path for change in ctx.scope.require_changes() for path in (change.path, change.old_path) if path}
    request = PushRequest(ctx.repository, ctx.config, ctx.scope.base, head, ctx.base, ctx.environ, ctx.now, ctx.tell)
    return request._replace(
        hold=ctx.engine.hold if ctx.engine else str,
        branch=ctx.branch,
        limits=ctx.limits,
        proposed=ctx.proposed,
        paths=frozenset(paths),
    )


CHECK = Check(
    ID,
    "what is pushed makes the pipelines no slower and no worse",
    RULES,
    run,
    stages=("pre-push", "manual"),
    order=RunOrder.ALONE,
    excusable=True,
)
