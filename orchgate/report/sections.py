"""The sections of the page below the verdict, in the order of the page."""

from __future__ import annotations

from collections import Counter

from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures.declared import title
from orchgate.report import figures
from orchgate.report.figures import VERDICTS, capital
from orchgate.report.history import DAYS
from orchgate.report.html import Html, badge, code, joined, link, row, table, tag
from orchgate.report.values import EvidenceMark
from orchgate.trends import told
from orchgate.trends.told import Names
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.report.values import (
        Artifact,
        BaselineBand,
        BeforeAfter,
        FindingRow,
        Page,
        PipelineState,
        RunRow,
        StageTimes,
        TaskState,
    )
    from orchgate.trends.answers import Answers
    from orchgate.trends.changes import TrendChange

_COSTS = {
    "wall_seconds": "Wall",
    "cpu_seconds": "CPU",
    "max_rss_bytes": "Memory",
    "written_bytes": "Written",
    "read_bytes": "Read",
}
_STATUS = {
    "succeeded": ("good", "✓"),
    "failed": ("bad", "✗"),
    "cancelled": ("neutral", "-"),
    "in_progress": ("neutral", "…"),
    "abandoned": ("warning", "!"),
    "unreadable": ("warning", "?"),
}
_SEVERITIES = {"error": ("bad", "✗"), "warning": ("warning", "!"), "note": ("neutral", "i")}
_REPLAYED = {"confirmed": "good", "contradicted": "bad", "unrepeatable": "warning"}
LEVELS = 12  # changes, and lines of a list
_OPEN = 3  # timelines that are open from the start


def status(name: str) -> Html:
    tone, mark = _STATUS.get(name, ("neutral", "?"))
    return badge(tone, f"{mark} {name.replace('_', ' ')}")


def _nothing(what: str, command: str) -> Html:
    return tag("p", what, " ", code(command), class_="lead")


# Tasks


def tasks(said: Page) -> Html:
    if not said.tasks:
        return _nothing("There is no task here yet. One begins with", "orchgate new SLUG")
    anchors = {row_.run_id: row_.anchor for row_ in said.runs}
    listed = [_task_row(one, anchors) for one in said.tasks]
    header = ("Task", "State", "Boxes", "Still missing", "Runs", "Last run")
    overview = table("Tasks: how far each is, and its last run", header, listed, tall=len(listed) > 15)
    return joined((overview, *(_task(one) for one in said.tasks if one.pipelines or one.owes)))


def _task_row(one: TaskState, anchors: dict[str, str]) -> Html:
    detailed = one.anchor if one.pipelines or one.owes else ""
    last = link(anchors.get(one.last_run, ""), status(one.last_status)) if one.last_run else "none"
    return row(
        link(detailed, one.task_id),
        one.status or one.standing or "no documents",
        f"{one.ticked} of {one.boxes}" if one.boxes else "-",
        f"{one.owed_count:,}" if one.owed_count else "-",
        f"{one.run_count:,}",
        last,
    )


def _task(one: TaskState) -> Html:
    facts: list[str] = [one.status or one.standing] if one.status or one.standing else []
    if one.documents:
        facts.append(counted(len(one.documents), "document"))
    shown = [tag("span", fact) for fact in facts]
    if one.boxes:
        name = f"{one.ticked} of {counted(one.boxes, 'box', 'boxes')} ticked"
        shown.append(tag("span", tag("progress", max=one.boxes, value=one.ticked, aria_label=name), name))
    parts = [tag("h3", one.task_id), tag("div", *shown, class_="facts") if shown else Html("")]
    if one.owes:
        more = f", the first {len(one.owes)}" if one.owed_count > len(one.owes) else ""
        inner = tag("ul", *map(_owed, one.owes), class_="plain")
        parts.append(tag("details", tag("summary", f"Still missing: {counted(one.owed_count, 'thing')}{more}"), inner))
    machines = Counter(pipeline.pipeline_id for pipeline in one.pipelines)
    for number, pipeline in enumerate(one.pipelines, 1):
        several = machines[pipeline.pipeline_id] > 1
        parts.append(_pipeline(pipeline, f"{one.anchor}-{number}", several=several))
    return tag("article", *parts, id=one.anchor)


def _owed(one: FindingRow) -> Html:
    where = f"{one.path}:{one.line}" if one.line else one.path
    hint = (tag("br"), one.hint) if one.hint else ()
    return tag("li", code(where), " ", f"{one.rule} {one.message}".strip(), *hint)


def _pipeline(one: PipelineState, name: str, *, several: bool) -> Html:
    """`several`: the same pipeline ran on other machine types, too."""
    machine = f", machine type {one.machine_id}" if several else ""
    name_ = f"Pipeline {clip(one.pipeline_id, 120)}{machine}" if one.pipeline_id else "A pipeline that is not known"
    said = [f"{counted(one.run_count, 'run')}, {one.succeeded:,} succeeded"]
    if one.flaky:
        said.append(f"{one.flaky:,} flaky")
    always = " always" if one.run_count > 1 else ""
    said += [f"{title(metric)}{always} {words.amount(metric, value)}" for metric, value in one.unchanged.items()]
    said += [_baseline(band) for band in [trend.baseline for trend in one.trends if trend.baseline][:1]]
    if not one.trends:
        return tag("p", tag("b", name_), f": {'; '.join(said)}.")
    about = tag("p", "; ".join(said) + ".", class_="facts")
    return joined((tag("h4", name_), about, figures.of_pipeline(one, name)))


def _baseline(band: BaselineBand) -> str:
    which = f"baseline of {band.recorded_at[:10]}, {counted(band.run_count, 'run')}"
    return f"{which}: it {band.stale}" if band.stale else which


# Runs


def runs(said: Page) -> Html:
    if not said.runs:
        return _nothing("No run is recorded here. A first one:", "orchgate run PIPELINE --task TASK")
    costs = [name for name in _COSTS if any(one.metrics.get(name) for one in said.runs)]
    tests = any(one.tests_passed is not None for one in said.runs)
    many = len({one.task_id for one in said.runs}) > 1
    timelines = {one.run_anchor: one.anchor for one in said.stage_times}
    header = ("Run", *(("Task",) if many else ()), "Pipeline", "Status", *(_COSTS[name] for name in costs))
    right = len(header) - len(costs) + 1
    rows = []
    for one in said.runs:
        cells: list[str] = [one.task_id] if many else []
        cells += [one.pipeline_id, _status_of(one), *(_amount(one, name) for name in costs)]
        cells += [_tests(one)] if tests else []
        rows.append(row(link(timelines.get(one.anchor, ""), one.run_id), *cells, id=one.anchor))
    some = "" if len(rows) == said.run_count else f"the newest {len(rows):,} of "
    caption = f"Runs, newest first: {some}{said.run_count:,}"
    return table(caption, (*header, *(("Tests",) if tests else ())), rows, right=right, tall=len(rows) > 15)


def _status_of(one: RunRow) -> Html:
    beside = [word for word, holds in (("flaky", one.flaky), ("from the cache", one.cached)) if holds]
    beside += [
        words_ for words_ in (one.replayed, f"replays {one.replays}" if one.replays else "", one.problem) if words_
    ]
    _, mark = _STATUS.get(one.status, ("neutral", "?"))
    words_ = f"{mark} {one.status.replace('_', ' ')}"
    tone = _STATUS.get(one.status, ("neutral", "?"))[0]
    known = words_ if tone == "good" else badge(tone, words_)
    replayed = (" ", badge(_REPLAYED[one.replayed.partition(" ")[0]], one.replayed)) if one.replayed else ()
    return joined((known, *replayed, *((" ", tag("span", ", ".join(beside), class_="wrap")) if beside else ())))


def _amount(one: RunRow, name: str) -> str:
    if name not in one.metrics:
        return "-"
    return (words.AT_LEAST if name in one.lower_bounds else "") + words.amount(name, one.metrics[name])


def _tests(one: RunRow) -> str:
    if one.tests_passed is None:
        return "-"
    return f"{one.tests_passed:,}" + (f", {one.tests_failed:,} failed" if one.tests_failed else "")


# Stages


def stages(said: Page) -> Html:
    if not said.stage_times:
        return _nothing("No run is here whose stages could be shown.", "orchgate run PIPELINE --task TASK")
    lead = tag("p", "Each bar is a stage; a stage waits from the moment it could start until it does.", class_="lead")
    return joined((lead, *(_timeline(one, open_=place < _OPEN) for place, one in enumerate(said.stage_times))))


def _timeline(one: StageTimes, *, open_: bool) -> Html:
    waited = f"; stages waited {words.seconds(one.waited_seconds)} in all" if one.waited_seconds >= 0.001 else ""
    which = "newest run of " if one.newest else ""
    summary = tag(
        "summary",
        f"{one.pipeline_id}, {which}{one.task_id}: {words.seconds(one.wall_seconds)}{waited}",
    )
    facts = tag("p", tag("span", "run ", link(one.run_anchor, one.run_id)), status(one.status), class_="facts")
    missing = (tag("p", f"Not known: {'; '.join(one.missing)}.", class_="note"),) if one.missing else ()
    drawn = figures.of_stages(one) if one.stages else tag("p", "It has no stages.", class_="note")
    hosted = (tag("p", f"By its own record made in {one.hosted}.", class_="note wrap"),) if one.hosted else ()
    notes = (*_failed(one), *_tools(one), *hosted, *missing)
    return tag("details", summary, facts, drawn, *notes, open=open_, id=one.anchor, class_="card")


def _tools(one: StageTimes) -> Iterator[Html]:
    """The tools that a run's stages started, and what they may explain."""
    if one.tools:
        yield tag("p", f"Tools: {one.tools}.", class_="note wrap")
    if one.other_tools:
        yield tag("p", f"{one.other_tools[:1].upper()}{one.other_tools[1:]}.", class_="note wrap")


def _failed(one: StageTimes) -> Iterator[Html]:
    """The tests of a run that failed, as far as their names are known."""
    if one.failed_tests:
        more = one.failed_test_count - len(one.failed_tests)
        items = [tag("li", tag("code", name, class_="wrap")) for name in one.failed_tests]
        items += [tag("li", f"and {more:,} more")] if more > 0 else []
        yield tag("p", f"{counted(one.failed_test_count, 'test')} failed:", class_="note")
        yield tag("ul", *items, class_="plain")


# Before and after


def changes(said: Page) -> Html:
    if not said.comparisons:
        return _nothing("Nothing was compared here yet. Base and head in turn:", "orchgate perf")
    return joined(_comparison(one, f"change-{n}") for n, one in enumerate(said.comparisons, 1))


def _comparison(one: BeforeAfter, name: str) -> Html:
    kind = "measured in turn" if one.source == "perf" else "recorded at different times, so only large changes count"
    counts = (
        counted(one.before_count, "pair")
        if one.source == "perf"
        else f"{one.before_count:,} and {one.after_count:,} runs"
    )
    facts = [tag("span", f"{one.before} and {one.after}: {counts}, {kind}")]
    if one.verdict:
        verdict = VERDICTS[one.verdict]
        facts.insert(0, badge(verdict.tone, f"{verdict.mark} {one.verdict}"))  # as `orchgate perf` says it
    if one.at:
        facts.append(tag("span", f"{one.at[:16].replace('T', ' ')} UTC"))
    reason = (tag("p", capital(one.reason) + "."),) if one.reason else ()
    drawn = figures.of_changes(one, name) if one.rows else tag("p", "No metric was judged.", class_="note")
    return tag("article", tag("h3", _heading(one)), tag("div", *facts, class_="facts"), *reason, drawn)


def _heading(one: BeforeAfter) -> str:
    return f"{clip(one.subject, 120)}: {_SOURCES[one.source]}"


_SOURCES = {"perf": "base and head", "baseline": "baseline and the runs since", "document": "as a document has it"}


# Over time


def history(said: Page) -> Html:
    """What the runs of all machines show, the changes with what may have made them."""
    past = said.history
    if past is None:
        return _nothing("There are no runs here yet whose trend could be shown.", "orchgate history fetch")
    found, about = past.answers, Names(past.answers)
    where = f", along {found.line.name}" if found.line else ""
    number = counted(past.run_count, "run")
    lead = f"{number} of the last {DAYS} days: this clone's and those that it has fetched{where}."
    nothing = "" if found.changes else " The level of none of what they measured changed for sure."
    parts = [tag("p", lead, nothing, class_="lead")]
    if found.changes:
        rows = [_level(one, about) for one in found.changes[:LEVELS]]
        header = ("What", "Change", "Before", "After", "Since", "Commits", "Sure")
        parts.append(table("Changes for good, the newest of each pipeline first", header, rows))
    parts += [tag("article", figures.of_history(one, f"history-{n}")) for n, one in enumerate(past.trends, 1)]
    parts += _lists(found, about)
    return joined(parts)


def _level(one: TrendChange, about: Names) -> Html:
    what = f"{about(one.key)} {told.metric(one.key)}".strip()
    with_it = "; ".join(told.change_lines(one, about)[2:])
    values = (told.amount(one.key, one.before), told.amount(one.key, one.after))
    first = joined((what, *((tag("br"), tag("span", with_it, class_="note")) if with_it else ())))
    return row(
        first,
        words.percent(one.by),
        *values,
        told.day(one.since),
        told.place(one),
        told.sure(one.confidence).removesuffix(" sure"),
    )


def _lists(found: Answers, about: Names) -> Iterator[Html]:
    listed = (
        ("Against the baseline", [told.drift_lines(one, about, found.described) for one in found.drifts]),
        ("Flaky stages, with 95 % intervals", [told.flaky_lines(one, about) for one in found.flaky]),
        ("Machine types, by runs of the same commits", [told.ratio_lines(one, about) for one in found.classes]),
    )
    for heading, lines in listed:
        if lines:
            items = (tag("li", ", ".join(one)) for one in lines[:LEVELS])
            yield tag("article", tag("h3", heading), tag("ul", *items, class_="plain"))


def samples(said: Page) -> Html:
    drawn = [
        tag("article", tag("h3", _heading(one)), tag("div", *_distributions(one, f"sample-{n}"), class_="grid"))
        for n, one in enumerate(said.comparisons, 1)
        if one.samples
    ]
    if not drawn:
        return _nothing("There are no samples behind a verdict here. To measure some:", "orchgate perf")
    lead = tag("p", "Each run that a verdict above rests on is a dot.", class_="lead")
    return joined((lead, *drawn))


def _distributions(one: BeforeAfter, name: str) -> Iterator[Html]:
    sides = one.before, one.after
    for number, sample in enumerate(one.samples, 1):
        drawn = len(sample.before), len(sample.after)
        some = drawn != (one.before_count, one.after_count)
        note = f"{drawn[0]} of {one.before_count:,} and {drawn[1]} of {one.after_count:,} are drawn" if some else ""
        yield figures.of_samples(sample, one.subject, f"{name}-{number}", sides, note)


# Findings


def findings(said: Page) -> Html:
    gate = said.gate
    if gate.why:
        return tag("p", "Nobody could look for findings: ", gate.why, class_="lead")
    if not gate.findings:
        return tag("p", "There are no open findings.", class_="lead")
    own = [one for one in gate.findings if not one.older]
    older = [one for one in gate.findings if one.older]
    parts = [_listed("Findings that count, the heaviest first", own)] if own else []
    if older:
        shown = _listed("Older findings: they were there before the change, and refuse nothing", older)
        parts.append(tag("details", tag("summary", counted(gate.older, "older finding")), shown, open=not own))
    return joined(parts)


def _listed(caption: str, found: Iterable[FindingRow]) -> Html:
    rows = [
        row(
            badge(_SEVERITIES[one.severity][0], f"{_SEVERITIES[one.severity][1]} {one.severity}"),
            one.rule,
            code(f"{one.path}:{one.line}" if one.line else one.path or "-"),
            joined((one.message, *((tag("br"), tag("span", one.hint, class_="note")) if one.hint else ()))),
        )
        for one in found
    ]
    return table(caption, ("Severity", "Rule", "Place", "What, and what to do"), rows, tall=len(rows) > 15)


# Evidence


_MARKS = {
    EvidenceMark.VERIFIED: ("good", "✓"),
    EvidenceMark.CHANGED: ("bad", "✗"),
    EvidenceMark.STORED: ("neutral", "i"),
    EvidenceMark.ABSENT: ("warning", "-"),
    EvidenceMark.UNKNOWN: ("warning", "?"),
    EvidenceMark.UNCHECKED: ("neutral", "-"),
}


def evidence(said: Page) -> Html:
    held = said.evidence
    if not held.artifacts:
        return _nothing("No artifact is pinned here. What documents cite is pinned by", "orchgate evidence pin")
    counts = ", ".join(f"{number:,} {name}" for name, number in Counter(held.counts).most_common())
    lead = f"{counted(held.pin_count, 'pinned artifact')}: {counts}." if held.pin_count else "Nothing is pinned."
    signed = any(one.signed_by for one in held.artifacts)
    header = ("Artifact", "Pinned", *(("Signed by",) if signed else ()), "Now", "Run", "Size")
    rows = [_artifact(one, signed=signed) for one in held.artifacts]
    shown = table(
        "Artifacts, those that need somebody first", header, rows, right=6 if signed else 5, tall=len(rows) > 15
    )
    means = "Verified: this disk holds it, and it is what was pinned, byte for byte, when this page was written."
    return joined((tag("p", lead, " ", means, class_="lead"), shown))


def _artifact(one: Artifact, *, signed: bool) -> Html:
    tone, mark = _MARKS[one.mark]
    now = joined((badge(tone, f"{mark} {one.mark.value}"), f" {one.detail}" if one.detail else ""))
    pinned = badge("good", "✓ pinned") if one.pinned else badge("warning", "! not pinned")
    return row(
        code(one.path),
        pinned,
        *((one.signed_by or "-",) if signed else ()),
        now if one.pinned else one.detail,
        status(one.run_status) if one.run_status else "-",
        words.size(one.size_bytes) if one.size_bytes is not None else "-",
    )
