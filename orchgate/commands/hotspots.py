"""`orchgate hotspots`: where the time and the I/O of runs go, ranked by what could be saved.

As text, with a bar for each stage, what could be saved, and what to do next.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

from orchgate.commands.shared import screen, work_tree
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import OrchgateError, quoted
from orchgate.lib.text import clip, counted, short_seconds
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.screen import Screen
    from orchgate.hotspots.ranking import Hotspot, Summary
    from orchgate.hotspots.timeline import Phase, Series, Timeline


SUMMARY = "show where the time and the I/O of runs go, and what could be saved"
ABOUT = "Without arguments, of the latest run of each pipeline."
EXAMPLES = ("orchgate hotspots", "orchgate hotspots 0001-faster-start --limit 3")
EXIT_CODES = {0: "shown", 3: "no run can be read"}
VERSION = 1
LISTED = 10


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN|TASK|FILE",
        help="run ids, task ids, manifests or folders of runs, anywhere",
    )
    what = f"at most N of each kind ({LISTED}, all in json)"
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help=what)
    parser.old_names = {"--top": Renamed("--limit")}
    output_format(parser, "hotspots")


def run(args: argparse.Namespace) -> Verdict:
    runs, troubles = _read(args.runs)
    from orchgate.hotspots import ranking

    runs = ranking.outermost(runs)
    judged, left_out = ranking.counting(runs)
    saving = ranking.rank(judged)
    moved, problems = ranking.rank_traffic(judged)
    troubles += [(path, OrchgateError(message)) for path, message in problems]
    groups = ranking.grouped(judged).items()
    summaries = [ranking.summarize(name, group, left_out[name]) for name, group in groups]
    if args.output_format == "json":
        work_tree.print_json(_document(runs, summaries, _ranked(saving, moved)[: args.limit], troubles))
    else:
        sys.stdout.writelines(
            line + "\n" for line in text(summaries, saving, moved, args.limit or LISTED, screen.here())
        )
    for path, trouble in troubles:
        sys.stderr.write(escape(f"orchgate: {_shown(path)}: {trouble.message}") + "\n")
        if trouble.hint:
            sys.stderr.write(escape(f"  hint: {trouble.hint}") + "\n")
    return Verdict.PASS


def _read(words: Sequence[str]) -> tuple[list[Timeline], list[tuple[str, OrchgateError]]]:
    """The timelines of what is asked for, and what cannot be read. Raises OrchgateError when nothing can."""
    from orchgate.hotspots import chosen
    from orchgate.hotspots.timing import read

    root = work_tree.root()
    folders = chosen.folders(root, words) if words else chosen.latest(root)
    if not folders:
        raise OrchgateError("there are no runs here", "orchgate run PIPELINE --task ID")
    runs = []
    troubles: list[tuple[str, OrchgateError]] = []
    for folder in folders:
        try:
            runs.append(read(folder))
        except OrchgateError as error:
            troubles.append((folder, error))
    if not runs:
        path, first = troubles[0]
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        raise OrchgateError(f"no run can be read: {_shown(path)}: {first.message}{more}", first.hint)
    from orchgate.hotspots.chosen import with_inner_runs

    together, unread = with_inner_runs(runs)
    return together, troubles + unread


def _shown(path: str) -> str:
    inside = os.path.relpath(path)
    return path if inside.startswith("..") else inside


def _ranked(saving: Sequence[Hotspot], moved: Sequence[Hotspot]) -> list[Hotspot]:
    """What could be saved, then reads and writes, then what only takes its time."""
    useful = [one for one in saving if one.savable]
    return [*useful, *moved, *(one for one in saving if not one.savable)]


def _document(
    runs: Sequence[Timeline],
    summaries: Sequence[Summary],
    ranked: Sequence[Hotspot],
    troubles: Sequence[tuple[str, OrchgateError]],
) -> dict[str, object]:
    from orchgate.outputs._document import headed, problem_of

    root = work_tree.root()
    unread = [(work_tree.inside(root, path), error) for path, error in troubles]
    facts = {
        "runs": [_run_json(run, root) for run in runs],
        "wall_seconds": round(sum(run.wall_seconds for summary in summaries for run in summary.runs), 6),
        "hotspots": [_hotspot_json(one) for one in ranked],
        "pipelines": [_pipeline_json(summary) for summary in summaries],
        "troubles": [{"path": path, "message": error.message, "hint": error.hint or None} for path, error in unread],
        "problems": [problem_of(error, path) for path, error in unread],
    }
    return headed("hotspots", facts, VERSION)


def _run_json(run: Timeline, root: str) -> dict[str, object]:
    from orchgate.hotspots.timeline import MICROSECONDS, Phase

    return {
        "run_id": run.run_id,
        "task_id": run.task,
        "pipeline_id": run.pipeline,
        "manifest_path": work_tree.inside(root, run.path),
        "status": run.status,
        "wall_seconds": run.wall_seconds,
        "parts": {part.value: round(run.seconds(part), 6) for part in Phase},
        "missing": list(run.missing),
        "inside_seconds": round(run.inside / MICROSECONDS, 6),
        "inner_runs": [os.path.basename(os.path.dirname(path)) for path in run.inner],
    }


def _hotspot_json(one: Hotspot) -> dict[str, object]:
    return {
        "kind": one.kind.value,
        "pipeline_id": one.pipeline,
        "stage": one.stage or None,
        "seconds": one.seconds,
        "share": None if one.share is None else round(one.share, 6),
        "savable_seconds": None if one.seconds is None else round(one.savable, 6),
        "without_seconds": None if one.seconds is None else round(one.without, 6),
        "detail": one.detail,
        "gaps": [{"stage": stage or None, "seconds": seconds} for stage, seconds in one.gaps],
        "path": one.path or None,
        "times": one.times,
        "bytes": one.bytes,
        "could_run_beside": list(one.beside),
    }


def _pipeline_json(summary: Summary) -> dict[str, object]:
    return {
        "pipeline_id": summary.pipeline,
        "runs": len(summary.runs),
        "left_out_runs": len(summary.left_out),
        "left_out_seconds": round(sum(run.wall_seconds for run in summary.left_out), 6),
        "wall": _series_json(summary.wall),
        "parts": {part.value: _series_json(figures) for part, figures in summary.parts.items()},
        "stages": [
            {
                "id": stage.id,
                "total": _series_json(stage.total),
                "median_parts": {part.value: round(seconds, 6) for part, seconds in stage.parts.items()},
            }
            for stage in summary.stages
        ],
    }


def _series_json(figures: Series) -> dict[str, object]:
    """A trend of fewer runs than it takes is null, not zero."""
    return {
        "median_seconds": round(figures.median, 6),
        "runs": figures.runs,
        "growth_seconds_per_run": None if figures.slope is None else round(figures.slope, 9),
        "growth_is_clear": figures.clear,
    }


WIDTH, _SHORTEST = 40, 8  # characters of the longest bar, where there is room and where there is none
_NAME = 32  # of a stage's id
_NUMBERS = 23  # beside both
_SHARE = 10  # of the bar of a share
_INDENT = 6  # of what is left of a line that was too long
_MISSING = 5  # lines about what could not be read, for each pipeline
_SMALL = 0.001  # of the wall time; what could save less is not worth a line
# By the value of a Phase.
_BLOCKS = {"away": "╌", "waiting": "░", "retrying": "▒", "executing": "█", "silent": "▓", "recording": "·"}
_ASCII = {"away": "-", "waiting": ".", "retrying": "!", "executing": "#", "silent": "=", "recording": ","}
_WORDS = {"away": "nobody worked on it", "silent": "executing without output"}


def text(
    summaries: Sequence[Summary],
    saving: Sequence[Hotspot],
    traffic: Sequence[Hotspot],
    most: int,
    seen: Screen = screen.PLAIN,
) -> Iterator[str]:
    """The whole report, line by line, escaped."""
    several = len(summaries) > 1
    for summary in summaries:
        for line in _pipeline(summary, seen):
            yield from screen.wrapped(escape(line), seen.width, 4)
        yield ""
    runs = sum(len(summary.runs) for summary in summaries)
    of_all = f" (in all {runs} runs)" if runs > 1 else ""
    worth = [one for one in saving if _is_worth(one)]
    yield from _section(f"what could be saved, at most{of_all}:", worth, most, several, seen)
    rest = [one for one in saving if not one.savable and not one.opaque]  # its stages are there themselves
    yield from _section(f"what takes its time{of_all}:", rest, most, several, seen)
    yield from _section(f"reads and writes{of_all}:", traffic, most, several, seen)
    yield from screen.wrapped(escape("hint: " + _hint(worth, summaries)), seen.width, 2)


def _is_worth(one: Hotspot) -> bool:
    """What could be saved may come from the order of the others: something that takes no time itself is no hotspot."""
    wall = (one.seconds or 0.0) / (one.share or 1.0)
    return one.savable > 0 and min(one.savable, one.seconds or 0.0) >= _SMALL * wall


def _glyphs(seen: Screen) -> Mapping[Phase, str]:
    from orchgate.hotspots.timeline import Phase

    return {Phase(name): glyph for name, glyph in (_BLOCKS if seen.glyphs is screen.BLOCKS else _ASCII).items()}


def _pipeline(summary: Summary, seen: Screen) -> Iterator[str]:
    glyphs = _glyphs(seen)
    yield _title(summary)
    yield from _left_out(summary)
    missing = [(run.run_id, what) for run in summary.runs for what in run.missing]
    for run_id, what in missing[:_MISSING]:
        yield f"  missing: {what}" + (f" ({run_id})" if len(summary.runs) > 1 else "")
    if len(missing) > _MISSING:
        yield f"  missing: {counted(len(missing) - _MISSING, 'more thing')} in these runs"
    ran = [stage for stage in summary.stages if stage.total.median or any(stage.parts.values())]
    longest = max((sum(stage.parts.values()) for stage in ran), default=0.0)
    wide = min(max((len(stage.id) for stage in ran), default=0), _NAME)
    whole = sum(sum(stage.parts.values()) for stage in ran)
    cells = WIDTH if seen.width is None else max(_SHORTEST, min(WIDTH, seen.width - wide - _NUMBERS))
    for stage in ran:
        seconds = sum(stage.parts.values())
        numbers = f"{short_seconds(seconds):>9}  {seconds / whole if whole else 0.0:>6.1%}"
        yield f"  {clip(stage.id, _NAME):<{wide}}  {numbers}  {_bar(stage.parts, longest, glyphs, cells)}".rstrip()
    yield "  " + "   ".join(_legend(summary, glyphs))
    yield from _trends(summary)


def _title(summary: Summary) -> str:
    from orchgate.hotspots.timeline import MICROSECONDS

    run = summary.runs[-1]
    inside = _inside(summary)
    if len(summary.runs) == 1:
        after = short_seconds(run.worked_seconds + run.inside / MICROSECONDS)
        return f"{summary.pipeline}: {run.status} after {after} (run {run.run_id} of task {run.task}){inside}"
    median = short_seconds(summary.wall.median)
    return f"{summary.pipeline}: {len(summary.runs)} runs, {median} each (median){inside}; bars show medians"


def _inside(summary: Summary) -> str:
    """How much of an observed program's time is in the runs that it recorded itself."""
    from orchgate.hotspots.timeline import MICROSECONDS

    seconds = sum(run.inside for run in summary.runs) / MICROSECONDS
    if not seconds:
        return ""
    inner = sum(len(run.inner) for run in summary.runs)
    what = counted(inner, "run that it recorded itself", "runs that it recorded itself")
    inside = short_seconds(seconds)
    return f"; {inside} of it in {what}" if len(summary.runs) == 1 else f"; besides {inside} in {what}"


def _left_out(summary: Summary) -> Iterator[str]:
    cached = [run for run in summary.left_out if run.status == "succeeded"]
    if left := [run for run in summary.left_out if run.status != "succeeded"]:
        statuses = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in left).items())
        seconds = short_seconds(sum(run.wall_seconds for run in left))
        yield f"  not counted: {counted(len(left), 'run')} that did not succeed ({statuses}), {seconds} in all"
    if cached:
        seconds = short_seconds(sum(run.wall_seconds for run in cached))
        yield f"  not counted: {counted(len(cached), 'run')} with stages from the cache, {seconds} in all"
    if not left and len(summary.runs) > 1 and summary.runs[-1].status != "succeeded":
        yield "  none of these runs succeeded: what they took is no measure of what the pipeline takes"


def _legend(summary: Summary, glyphs: Mapping[Phase, str]) -> Iterator[str]:
    wall = sum(run.worked_seconds for run in summary.runs)
    for part, glyph in glyphs.items():
        if seconds := sum(run.seconds(part) for run in summary.runs):
            # Time in which nobody worked is no share of the work.
            share = f"{seconds / wall:.1%}" if part.value != "away" and wall else short_seconds(seconds)
            yield f"{glyph} {_WORDS.get(part.value, part.value)} {share}"


def _bar(parts: Mapping[Phase, float], longest: float, glyphs: Mapping[Phase, str], cells: int) -> str:
    """Every part as long as its time, the whole bar rounded once only."""
    bar, passed = "", 0.0
    for part, glyph in glyphs.items():
        passed += parts.get(part, 0.0)
        bar += glyph * (round(cells * passed / longest if longest else 0.0) - len(bar))
    return bar


def _trends(summary: Summary) -> Iterator[str]:
    from orchgate.hotspots.timeline import LEAST_RUNS

    runs = len(summary.runs)
    if runs == 1:
        return
    if runs < LEAST_RUNS:
        yield f"  trend: {runs} runs are too few, {LEAST_RUNS} at least"
        return
    named: list[tuple[str, Series]] = [("a run", summary.wall)]
    named += [(part.value, figures) for part, figures in summary.parts.items() if part.value != "away"]
    named += [(f"stage {stage.id}", stage.total) for stage in summary.stages]
    moving = [f"{name} {_change(figures.slope)}" for name, figures in named if figures.clear and figures.slope]
    yield f"  trend over {runs} runs: " + ("; ".join(moving) if moving else "none that stands out")


def _change(slope: float) -> str:
    return f"{'grows' if slope > 0 else 'shrinks'} by {short_seconds(abs(slope))} each time"


def _section(title: str, found: Sequence[Hotspot], most: int, several: bool, seen: Screen) -> Iterable[str]:
    if not found:
        return
    yield escape(title)
    for position, one in enumerate(found[:most], 1):
        numbers, words = _numbers(one, seen), escape(_row(one, several))
        yield from screen.wrapped(f"  {position:>2}. {numbers}{words}", seen.width, _INDENT)
    if len(found) > most:
        yield f"      and {len(found) - most} more: --limit {len(found)}"
    yield ""


def _savable(one: Hotspot) -> tuple[float, float]:
    """Seconds, and what share of the runs' time that is."""
    seconds = one.savable or one.seconds or 0.0
    return seconds, (one.share or 0.0) * (seconds / one.seconds if one.seconds else 1.0)


def _numbers(one: Hotspot, seen: Screen) -> str:
    if one.seconds is None:
        return ""
    seconds, share = _savable(one)
    bar = screen.bar(share, _SHARE, seen.glyphs._replace(empty=" "))
    return f"{short_seconds(seconds):>9}  {share:>6.1%}  {bar}  "


def _row(one: Hotspot, several: bool) -> str:
    where = [one.pipeline] if several else []
    where += [one.stage] if one.stage else []
    what = f"{one.kind.value} {' '.join(where)}".strip()
    return f"{what}: {one.path + ': ' if one.path and one.seconds is None else ''}{one.detail}"


def _hint(worth: Sequence[Hotspot], summaries: Sequence[Summary]) -> str:
    from orchgate.hotspots.ranking import HotspotKind

    if not worth:
        return "the records show nothing to save; to look inside a stage, use a profiler for its language"
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
        return "most of what could be saved passes between a command's end and the next start; " + again
    beside = f", or let it run beside {' or '.join(one.beside[:2])} (max-parallel)" if one.beside else ""
    return f"find out what {one.stage} waits for{beside}; {again}"
