"""The page as HTML: one file that loads nothing and runs nothing, with the verdict first."""

from __future__ import annotations

from orchgate import __version__
from orchgate.charts.svg import CSS as CHARTS
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.report import sections
from orchgate.report.figures import VERDICTS, capital
from orchgate.report.html import Html, badge, code, joined, link, row, table, tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.report.values import BeforeAfter, GateState, Page, PageJob


MARK = '<meta name="generator" content="orchgate report">'  # by which a page of ours is known
# No address is allowed, not even one that this page names: it is opened by people who were sent it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


SECTIONS = (
    ("verdict", "Verdict"),
    ("tasks", "Tasks"),
    ("runs", "Runs"),
    ("stages", "Stages"),
    ("changes", "Before and after"),
    ("history", "Over time"),
    ("samples", "Samples"),
    ("findings", "Findings"),
    ("evidence", "Evidence"),
)


def render(said: Page) -> str:
    """The whole page. Every character beyond ASCII may be written as a reference: it is the same text."""
    name = said.repository or "this repository"
    heading = f"{said.only_task}, {name}" if said.only_task else name
    head = (
        Html('<meta charset="utf-8">'),
        Html(MARK),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'),
        tag("title", f"{headline(said)}: {heading} - orchgate"),
        tag("style", Html(sheet())),
    )
    shown = dict(_shown(said))
    body = (
        tag("a", "Skip to the verdict", class_="skip", href="#verdict"),
        tag("header", tag("h1", heading), tag("p", *_about(said)), *_hosted(said.hosted)),
        _navigation(said, shown),
        tag("main", *shown.values(), id="main"),
        tag("footer", *_footer(said)),
    )
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"


def _about(said: Page) -> Iterator[str]:
    parts: list[str] = [f"Written {said.written_at[:16].replace('T', ' ')} UTC by orchgate {__version__}"]
    if said.branch:
        parts.append(joined(("branch ", code(said.branch))))
    yield joined(parts, " · ")


def _hosted(job: PageJob | None) -> Iterator[Html]:
    """Which job of a hosted CI wrote the page, and the commands by which anybody asks the platform whether it did."""
    if job is None:
        return
    of = f" of {job.workflow or job.repository}"
    facts = [f"{job.platform}: ", code(job.address), of, f", commit {job.commit[:12]}" if job.commit else ""]
    facts.append(f", started by {job.started_by}" if job.started_by else "")
    yield tag("p", "By its environment, which is no proof, a job of ", *facts, ".", class_="note wrap")
    if not job.attested_by:
        yield tag("p", f"{job.platform} attests nothing of it that this page knows how to ask for.", class_="note")
        return
    files = ("PAGE", ".runs/TASK/cli/RUN/manifest.json")
    listed = joined((code(f"{job.attested_by} {file}") for file in files), " and ")
    ask = "What the platform attests of this page and of a run, where the workflow asked it to: "
    yield tag("p", ask, listed, ".", class_="note wrap")


def _navigation(said: Page, shown: dict[str, Html]) -> Html:
    counts = {
        "tasks": said.task_count,
        "runs": said.run_count,
        "stages": len(said.stage_times),
        "changes": len(said.comparisons),
        "history": len(said.history.answers.changes) if said.history else 0,
        "findings": said.gate.finding_count,
        "evidence": said.evidence.pin_count,
    }
    items = (
        tag("li", link(name, title, *((" ", tag("b", f"{counts[name]:,}")) if counts.get(name) else ())))
        for name, title in SECTIONS
        if name in shown
    )
    return tag("nav", tag("ul", *items), aria_label="Sections")


def _shown(said: Page) -> Iterator[tuple[str, Html]]:
    parts = {
        "verdict": verdict(said),
        "tasks": sections.tasks(said),
        "runs": sections.runs(said),
        "stages": sections.stages(said),
        "changes": sections.changes(said),
        "history": sections.history(said),
        "samples": sections.samples(said),
        "findings": sections.findings(said),
        "evidence": sections.evidence(said),
    }
    for name, title in SECTIONS:
        heading = tag("h2", title, id=f"{name}-title")
        yield name, tag("section", heading, parts[name], id=name, aria_labelledby=f"{name}-title")


def headline(said: Page) -> str:
    """The verdict in a few words, as the page, its title and the command say it."""
    word = VERDICTS[said.gate.verdict].word
    return f"{word}, but for speed" if _slower(said) else word


def verdict(said: Page) -> Html:
    gate, words = said.gate, VERDICTS[said.gate.verdict]
    examined = any(number for check in gate.checks for number in check.examined.values())
    nothing = gate.verdict in (Verdict.PASS.value, Verdict.WARN.value) and not examined
    means = "No change, no document, no run: nobody looked at anything." if nothing else words.means
    tone = "neutral" if nothing else words.tone
    word = f"{capital(words.word)}: nothing to check" if nothing else capital(words.word)
    mark, slower = words.mark, _slower(said)
    if slower:
        tone, mark, word = "warning", VERDICTS[Verdict.WARN.value].mark, capital(headline(said))
        means = f"Its speed is not judged here: {slower.after} failed when it was measured against this base."
    lines = [
        tag("p", tag("span", mark, aria_hidden="true"), " ", word, class_="word"),
        tag("p", gate.why or means),
    ]
    lines += [tag("p", *_scope(gate))] if not gate.why else [tag("p", code(gate.hint))] if gate.hint else []
    return joined(
        (
            tag("div", *lines, class_=f"verdict {tone}"),
            _problems(said),
            _tiles(said),
            _checks(gate),
        )
    )


def _slower(said: Page) -> BeforeAfter | None:
    """The newest measurement, where it refuses what this page lets through."""
    gate = said.gate
    newest = next((one for one in said.comparisons if one.source == "perf"), None)
    passed = gate.verdict in (Verdict.PASS.value, Verdict.WARN.value)
    if newest is None or not passed or not gate.base or newest.verdict != Verdict.FAIL.value:
        return None
    return newest if newest.before == f"base {gate.base[:12]}" else None


_SCOPES = {
    "staged": "Judged: what is staged for the next commit",
    "range": "Judged: what was committed",
    "tree": "Judged: the whole tree, with what is staged",
    "commit": "Judged: one commit",
}


def _scope(gate: GateState) -> Iterator[str]:
    if gate.unchanged_since:
        whole = gate.scope == "tree"
        yield f"There is no change since {gate.unchanged_since}"
        yield ", so the whole tree was judged, as by " if whole else "; the whole tree is judged by "
        yield code("orchgate check --all-files")
        left_out = [one.check for one in gate.checks if one.off and one.verdict != Verdict.PASS.value]
        yield f", but for {', '.join(left_out)}." if left_out else "."
        return
    yield _SCOPES.get(gate.scope, "Judged: the change")
    if gate.head:
        yield joined((", up to ", code(gate.head[:7])))
    if gate.base:
        yield joined((", compared with base ", code(gate.base[:7])))
        yield f" ({gate.base_origin})." if gate.base_origin else "."
    else:
        yield f"; no base: {gate.base_origin}." if gate.base_origin else "; there is no base to compare it with."


def _problems(said: Page) -> Html:
    """What the page does not show because nobody could read it: never without a word."""
    if not said.problems:
        return Html("")
    count = len(said.problems)
    title = "1 thing could not be read" if count == 1 else f"{count:,} things could not be read"
    listed = (tag("li", one.message, *((tag("br"), one.hint) if one.hint else ())) for one in said.problems[:20])
    more = (tag("p", f"{count - 20:,} more.", class_="note"),) if count > 20 else ()
    inner = (tag("h3", title), tag("ul", *listed, class_="plain"), *more)
    return tag("div", *inner, class_="verdict warning", role="note", aria_label=title)


def _tiles(said: Page) -> Html:
    gate = said.gate
    counts = (
        (gate.errors, "error", "errors"),
        (gate.warnings, "warning", "warnings"),
        (gate.notes, "note", "notes"),
        (gate.older, "older finding", "older findings"),
        (gate.suppressed, "suppressed", "suppressed"),
        (said.run_count, "run", "runs"),
        (said.task_count, "task", "tasks"),
    )
    kept = [one for place, one in enumerate(counts) if one[0] or place < 2 or place > 4]
    shown = (
        tag("li", tag("b", f"{number:,}"), tag("span", one if number == 1 else many)) for number, one, many in kept
    )
    return tag("ul", *shown, class_="tiles")


def _checks(gate: GateState) -> Html:
    if not gate.checks:
        return Html("")
    rows = []
    for one in gate.checks:
        words = VERDICTS[one.verdict]
        counts = (counted(number, name.removesuffix("s"), name) for name, number in one.examined.items() if number)
        left_out = one.off and one.verdict != Verdict.PASS.value
        broken = one.verdict == Verdict.BROKEN.value
        examined = (
            f"not judged for this page: {one.off}"
            if left_out
            else f"off: {one.off}"
            if one.off
            else ", ".join(counts) or ("nothing could be looked at" if broken else "nothing to look at")
        )
        how = badge(words.tone, f"{words.mark} {words.word}")
        if one.off:
            how = badge("neutral", "left out" if left_out else "off")
        elif not any(one.examined.values()) and one.verdict == Verdict.PASS.value:
            how = Html("-")
        rows.append(row(one.check, how, examined))
    return table("What each check said, and what it looked at", ("Check", "Verdict", "Looked at"), rows)


def _footer(said: Page) -> Iterator[Html]:
    if said.left_out:
        yield tag("p", "Left out, so that this page stays small:")
        yield tag("ul", *(tag("li", one) for one in said.left_out))
    yield tag(
        "p",
        "This page shows what was recorded when it was written. It decides nothing: ",
        code("orchgate check"),
        " does.",
    )


# The style sheet of the page, with that of the charts


_COMMENTS = lazy(r"/\*.*?\*/", 16)  # 16 is re.DOTALL, spelt without importing re
_BLANKS = lazy(r"\s*([{};,])\s*|\s+")


def sheet() -> str:
    """As small as it can be without being read by anybody."""
    text = _COMMENTS.sub("", CHARTS + files.read_data("templates", "report.css"))
    return _BLANKS.sub(lambda match: match[1] or " ", text).replace(";}", "}").strip()
