"""Hotspots as text: a bar for each stage, what could be saved, and what to do next."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from orchgate.errors import quoted
from orchgate.hotspots.growth import LEAST
from orchgate.hotspots.ranking import Hotspot, HotspotKind, counted, short
from orchgate.hotspots.timeline import MICROSECONDS, Phase
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.hotspots.growth import Series
    from orchgate.hotspots.ranking import Summary

WIDTH = 40  # characters of the longest bar
_MISSING = 5  # lines about what could not be read, for each pipeline
_SMALL = 0.001  # of the wall time; what could save less is not worth a line
_BLOCKS = {
    Phase.AWAY: "╌",
    Phase.WAITING: "░",
    Phase.RETRYING: "▒",
    Phase.EXECUTING: "█",
    Phase.SILENT: "▓",
    Phase.RECORDING: "·",
}
_ASCII = {
    Phase.AWAY: "-",
    Phase.WAITING: ".",
    Phase.RETRYING: "!",
    Phase.EXECUTING: "#",
    Phase.SILENT: "=",
    Phase.RECORDING: ",",
}
_WORDS = {Phase.AWAY: "nobody worked on it", Phase.SILENT: "executing without output"}


def text(
    summaries: Sequence[Summary], saving: Sequence[Hotspot], traffic: Sequence[Hotspot], most: int
) -> Iterator[str]:
    """The whole report, line by line, escaped."""
    several = len(summaries) > 1
    glyphs = _glyphs()
    for summary in summaries:
        yield from map(escape, _pipeline(summary, glyphs))
        yield ""
    runs = sum(len(summary.runs) for summary in summaries)
    of_all = f" (in all {runs} runs)" if runs > 1 else ""
    worth = [one for one in saving if _is_worth(one)]
    yield from map(escape, _section(f"what could be saved, at most{of_all}:", worth, most, several))
    rest = [one for one in saving if not one.savable and not one.opaque]  # its stages are there themselves
    yield from map(escape, _section(f"what takes its time{of_all}:", rest, most, several))
    yield from map(escape, _section(f"reads and writes{of_all}:", traffic, most, several))
    yield escape("hint: " + _hint(worth, summaries))


def _is_worth(one: Hotspot) -> bool:
    """What could be saved may come from the order of the others: something that takes no time itself is no hotspot."""
    wall = (one.seconds or 0.0) / (one.share or 1.0)
    return one.savable > 0 and min(one.savable, one.seconds or 0.0) >= _SMALL * wall


def _glyphs() -> Mapping[Phase, str]:
    try:
        "".join(_BLOCKS.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _BLOCKS


def _pipeline(summary: Summary, glyphs: Mapping[Phase, str]) -> Iterator[str]:
    yield _title(summary)
    yield from _left_out(summary)
    missing = [(run.run_id, said) for run in summary.runs for said in run.missing]
    for run_id, said in missing[:_MISSING]:
        yield f"  missing: {said}" + (f" ({run_id})" if len(summary.runs) > 1 else "")
    if len(missing) > _MISSING:
        yield f"  missing: {counted(len(missing) - _MISSING, 'more thing')} in these runs"
    ran = [stage for stage in summary.stages if stage.total.median or any(stage.parts.values())]
    longest = max((sum(stage.parts.values()) for stage in ran), default=0.0)
    wide = max((len(stage.id) for stage in ran), default=0)
    whole = sum(sum(stage.parts.values()) for stage in ran)
    for stage in ran:
        seconds = sum(stage.parts.values())
        share = seconds / whole if whole else 0.0
        yield f"  {stage.id:<{wide}}  {short(seconds):>9}  {share:>6.1%}  {_bar(stage.parts, longest, glyphs)}".rstrip()
    yield "  " + "   ".join(_legend(summary, glyphs))
    yield from _trends(summary)


def _title(summary: Summary) -> str:
    run = summary.runs[-1]
    inside = _inside(summary)
    if len(summary.runs) == 1:
        after = short(run.worked_seconds + run.inside / MICROSECONDS)
        return f"{summary.pipeline}: {run.status} after {after} (run {run.run_id} of task {run.task}){inside}"
    median = short(summary.wall.median)
    return f"{summary.pipeline}: {len(summary.runs)} runs, {median} each (median){inside}; bars show medians"


def _inside(summary: Summary) -> str:
    """How much of an observed program's time is told by the runs that it recorded itself."""
    seconds = sum(run.inside for run in summary.runs) / MICROSECONDS
    if not seconds:
        return ""
    inner = sum(len(run.inner) for run in summary.runs)
    what = counted(inner, "run that it recorded itself", "runs that it recorded itself")
    return f"; {short(seconds)} of it in {what}" if len(summary.runs) == 1 else f"; besides {short(seconds)} in {what}"


def _left_out(summary: Summary) -> Iterator[str]:
    cached = [run for run in summary.left_out if run.status == "succeeded"]
    if left := [run for run in summary.left_out if run.status != "succeeded"]:
        statuses = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in left).items())
        seconds = short(sum(run.wall_seconds for run in left))
        yield f"  not counted: {counted(len(left), 'run')} that did not succeed ({statuses}), {seconds} in all"
    if cached:
        seconds = short(sum(run.wall_seconds for run in cached))
        yield f"  not counted: {counted(len(cached), 'run')} with stages from the cache, {seconds} in all"
    if not left and len(summary.runs) > 1 and summary.runs[-1].status != "succeeded":
        yield "  none of these runs succeeded: what they took is no measure of what the pipeline takes"


def _legend(summary: Summary, glyphs: Mapping[Phase, str]) -> Iterator[str]:
    wall = sum(run.worked_seconds for run in summary.runs)
    for part, glyph in glyphs.items():
        if seconds := sum(run.seconds(part) for run in summary.runs):
            # Time in which nobody worked is no share of the work.
            share = f"{seconds / wall:.1%}" if part is not Phase.AWAY and wall else short(seconds)
            yield f"{glyph} {_WORDS.get(part, part.value)} {share}"


def _bar(parts: Mapping[Phase, float], longest: float, glyphs: Mapping[Phase, str]) -> str:
    """Every part as long as its time, the whole bar rounded once only."""
    bar, passed = "", 0.0
    for part, glyph in glyphs.items():
        passed += parts.get(part, 0.0)
        bar += glyph * (round(WIDTH * passed / longest if longest else 0.0) - len(bar))
    return bar


def _trends(summary: Summary) -> Iterator[str]:
    runs = len(summary.runs)
    if runs == 1:
        return
    if runs < LEAST:
        yield f"  trend: {runs} runs are too few, {LEAST} at least"
        return
    named: list[tuple[str, Series]] = [("a run", summary.wall)]
    named += [(part.value, figures) for part, figures in summary.parts.items() if part is not Phase.AWAY]
    named += [(f"stage {stage.id}", stage.total) for stage in summary.stages]
    moving = [f"{name} {_change(figures.slope)}" for name, figures in named if figures.clear and figures.slope]
    yield f"  trend over {runs} runs: " + ("; ".join(moving) if moving else "none that stands out")


def _change(slope: float) -> str:
    return f"{'grows' if slope > 0 else 'shrinks'} by {short(abs(slope))} each time"


def _section(title: str, found: Sequence[Hotspot], most: int, several: bool) -> Iterable[str]:
    if not found:
        return
    yield title
    for position, one in enumerate(found[:most], 1):
        yield f"  {position:>2}. {_row(one, several)}"
    if len(found) > most:
        yield f"      and {len(found) - most} more: --limit {len(found)}"
    yield ""


def _row(one: Hotspot, several: bool) -> str:
    where = [one.pipeline] if several else []
    where += [one.stage] if one.stage else []
    what = f"{one.kind.value} {' '.join(where)}".strip()
    if one.seconds is None:
        return f"{what}: {one.path + ': ' if one.path else ''}{one.detail}"
    seconds = one.savable or one.seconds
    share = (one.share or 0.0) * (seconds / one.seconds if one.seconds else 1.0)
    return f"{short(seconds):>9}  {share:>6.1%}  {what}: {one.detail}"


def _hint(worth: Sequence[Hotspot], summaries: Sequence[Summary]) -> str:
    if not worth:
        return "the records show nothing to save; what a stage does inside itself, a profiler of its language tells"
    one = worth[0]
    summary = next(summary for summary in summaries if summary.pipeline == one.pipeline)
    task = quoted(summary.runs[-1].task)
    again = f"then run it again and compare with `orchgate hotspots {task}`"
    if one.kind is HotspotKind.WAITING:
        return (
            "something holds the stages up before their commands start; look there for a timer, a queue or a lock; "
            "--output-format json lists every gap; " + again
        )
    if one.kind is HotspotKind.RETRY:
        command = f"orchgate run {quoted(one.pipeline)} --task {task} --runs 10"
        return f"{one.stage} had to be repeated; `{command}` shows how often"
    if one.kind is HotspotKind.RECORDING:
        return "what happens between a command's end and the next start takes longest to no use; " + again
    beside = f", or let it run beside {' or '.join(one.beside[:2])} (max-parallel)" if one.beside else ""
    return f"find out what {one.stage} waits for{beside}; {again}"
