"""`orchgate run`: runs a pipeline and records the evidence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orchgate.commands import _runs
from orchgate.errors import UsageError
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.runs.runner import Finished
    from orchgate.runs.session import Setting
    from orchgate.runs.stages import Pipeline

SUMMARY = "run a pipeline and record the evidence"
VERSION = 1
_WORST_FIRST = ("cancelled", "failed", "succeeded")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", metavar="PIPELINE", help="its id; orchgate plan lists them")
    parser.add_argument("--task", required=True, metavar="ID", help="the task whose evidence this is")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run it N times and show how often each stage passed"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every stage, whatever succeeded before")
    parser.add_argument(
        "--measure", action="store_true", help="one stage at a time, nothing from the cache, processes counted"
    )
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")


def run(args: argparse.Namespace) -> int:
    from orchgate.runs.pipeline import find

    if args.repeat < 1:
        raise UsageError("--repeat takes a number from 1", "--repeat 10")
    # A pass rate counts what really ran.
    cache = not (args.no_cache or args.measure or args.repeat > 1)
    reporter = _runs.reporter(args.output_format)
    setting = _runs.setting(args.task, reporter, cache=cache, measured=args.measure)
    pipeline = find(setting.pipelines, args.pipeline)
    finished = list(_repeated(setting, pipeline, args.repeat))
    show(setting.root, finished, args.output_format)
    return exit_code(finished)


def _repeated(setting: Setting, pipeline: Pipeline, times: int) -> Iterator[Finished]:
    from orchgate.runs import runner

    for _ in range(times):
        one = runner.run(setting, pipeline)
        yield one
        if one.status == "cancelled":
            return


def exit_code(finished: Sequence[Finished]) -> int:
    """0 when every run succeeded, 1 when one failed, 130 when one was cancelled."""
    return next(_runs.EXIT_CODES[status] for status in _WORST_FIRST if status in {one.status for one in finished})


def show(root: str, finished: Sequence[Finished], output: str) -> None:
    """The runs, and how often each stage passed when there are several."""
    if output == "json":
        runs = [{"manifest_path": _runs.shown(root, one.folder), **one.manifest} for one in finished]
        _runs.print_json({"version": VERSION, "runs": runs, "pass_rates": rates([one.manifest for one in finished])})
        return
    for one in finished:
        sys.stdout.write(escape(f"manifest: {_runs.shown(root, one.folder)}") + "\n")
    if len(finished) > 1:
        sys.stdout.writelines(escape(line) + "\n" for line in _table(rates([one.manifest for one in finished])))


def rates(manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each stage, in how many of the runs that reached it it passed, and how often only when repeated."""
    counted: dict[str, dict[str, Any]] = {}
    for manifest in manifests:
        for stage in manifest["commands"]:
            row = counted.setdefault(stage["id"], {"id": stage["id"], "runs": 0, "passed": 0, "flaky": 0})
            row["runs"] += stage["status"] in ("succeeded", "failed")
            row["passed"] += stage["status"] == "succeeded"
            row["flaky"] += stage["flaky"]
    return [{**row, "rate": row["passed"] / row["runs"] if row["runs"] else None} for row in counted.values()]


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    width = max(len("stage"), *(len(row["id"]) for row in rows))
    yield f"{'stage':<{width}}  passed    rate  flaky"
    for row in rows:
        share = "-" if row["rate"] is None else f"{row['rate']:.1%}"
        passed = f"{row['passed']}/{row['runs']}"
        yield f"{row['id']:<{width}}  {passed:>6}  {share:>6}  {row['flaky']:>5}"
