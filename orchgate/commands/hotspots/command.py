"""`orchgate hotspots`: where the time and the I/O of runs go, ranked by what could be saved."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.commands.shared import running
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import OrchgateError
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from orchgate.commands.shared.options import Parser
    from orchgate.hotspots.growth import Series
    from orchgate.hotspots.ranking import Hotspot, Summary
    from orchgate.hotspots.timeline import Timeline

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
    output_format(parser)


def run(args: argparse.Namespace) -> Verdict:
    runs, troubles = _read(args.runs)
    from orchgate.hotspots import ranking, traffic

    runs = ranking.outermost(runs)
    counted, left_out = ranking.counting(runs)
    saving = ranking.rank(counted)
    moved, problems = traffic.rank(counted)
    troubles += [(path, OrchgateError(message)) for path, message in problems]
    groups = ranking.grouped(counted).items()
    summaries = [ranking.summarize(name, group, left_out[name]) for name, group in groups]
    if args.output_format == "json":
        running.print_json(_document(runs, summaries, _ranked(saving, moved)[: args.limit], troubles))
    else:
        from orchgate.commands.hotspots.text import text

        sys.stdout.writelines(line + "\n" for line in text(summaries, saving, moved, args.limit or LISTED))
    for path, trouble in troubles:
        sys.stderr.write(escape(f"orchgate: {_shown(path)}: {trouble.message}") + "\n")
        if trouble.hint:
            sys.stderr.write(escape(f"  hint: {trouble.hint}") + "\n")
    return Verdict.PASS


def _read(words: Sequence[str]) -> tuple[list[Timeline], list[tuple[str, OrchgateError]]]:
    """The timelines of what is asked for, and what cannot be read. Raises OrchgateError when nothing can."""
    from orchgate.hotspots import chosen
    from orchgate.hotspots.timing import read

    root = running.root()
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
    from orchgate.hotspots.inside import joined

    together, unread = joined(runs)
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
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "runs": [_run(run) for run in runs],
        "wall_seconds": round(sum(run.wall_seconds for summary in summaries for run in summary.runs), 6),
        "hotspots": [_hotspot(one) for one in ranked],
        "pipelines": [_pipeline(summary) for summary in summaries],
        "troubles": [{"path": path, "message": error.message, "hint": error.hint} for path, error in troubles],
    }


def _run(run: Timeline) -> dict[str, Any]:
    from orchgate.hotspots.timeline import MICROSECONDS, Phase

    return {
        "run_id": run.run_id,
        "task_id": run.task,
        "pipeline_id": run.pipeline,
        "manifest_path": run.path,
        "status": run.status,
        "wall_seconds": run.wall_seconds,
        "parts": {part.value: round(run.seconds(part), 6) for part in Phase},
        "missing": list(run.missing),
        "inside_seconds": round(run.inside / MICROSECONDS, 6),
        "inner_runs": [os.path.basename(os.path.dirname(path)) for path in run.inner],
    }


def _hotspot(one: Hotspot) -> dict[str, Any]:
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


def _pipeline(summary: Summary) -> dict[str, Any]:
    return {
        "pipeline_id": summary.pipeline,
        "runs": len(summary.runs),
        "left_out_runs": len(summary.left_out),
        "left_out_seconds": round(sum(run.wall_seconds for run in summary.left_out), 6),
        "wall": _series(summary.wall),
        "parts": {part.value: _series(figures) for part, figures in summary.parts.items()},
        "stages": [
            {
                "id": stage.id,
                "total": _series(stage.total),
                "median_parts": {part.value: round(seconds, 6) for part, seconds in stage.parts.items()},
            }
            for stage in summary.stages
        ],
    }


def _series(figures: Series) -> dict[str, Any]:
    """A trend of fewer runs than it takes is null, not zero."""
    return {
        "median_seconds": round(figures.median, 6),
        "runs": figures.runs,
        "growth_seconds_per_run": None if figures.slope is None else round(figures.slope, 9),
        "growth_is_clear": figures.clear,
    }
