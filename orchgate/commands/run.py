"""`orchgate run`: runs a pipeline and records the evidence."""

from __future__ import annotations

import sys

from orchgate.commands.shared import work_tree
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Self

    from orchgate.commands.shared.command_line import Parser
    from orchgate.runner.pipeline_run import Finished
    from orchgate.runner.session import RunSettings
    from orchgate.runs.stages import Pipeline

SUMMARY = "run a pipeline and record the evidence"
ABOUT = """\
Runs once, stages in parallel as far as their needs allow; a stage whose inputs
are as they were when it last succeeded is answered from the cache."""
EXAMPLES = (
    "orchgate run implementation-gate --task 0001-faster-start",
    "orchgate run diagnostics --task 0001 --runs 10",
)
EXIT_CODES = {0: "every run succeeded", 1: "a run failed", 130: "a run was cancelled"}
VERSION = 1
_WORST_FIRST = ("cancelled", "failed", "succeeded")


def arguments(parser: Parser) -> None:
    parser.add_argument("pipeline", metavar="PIPELINE", help="its id; `orchgate plan` lists them")
    work_tree.task_option(parser, "the task whose evidence this is", required=True)
    what = "how often to run it; with several, shows how often each stage passed (%(default)s)"
    parser.add_argument("--runs", type=whole_number(1), default=1, metavar="N", help=what)
    parser.old_names = {"--repeat": Renamed("--runs")}
    parser.add_argument("--no-cache", action="store_true", help="run every stage, whatever succeeded before")
    parser.add_argument(
        "--measure", action="store_true", help="one stage at a time, nothing from the cache, processes counted"
    )
    output_format(parser, "run")


def run(args: argparse.Namespace) -> int:
    from orchgate.runs.pipeline import find

    # A pass rate counts what really ran.
    cache = not (args.no_cache or args.measure or args.runs > 1)
    reporter = work_tree.reporter(args.output_format)
    setting = work_tree.setting(args.task, reporter, pipeline=args.pipeline, cache=cache, measured=args.measure)
    pipeline = find(setting.pipelines, args.pipeline)
    ended = RunSummary.of(_repeated(setting, pipeline, args.runs), whole=args.output_format == "json")
    show(setting.root, ended)
    return exit_code(ended)


def _repeated(setting: RunSettings, pipeline: Pipeline, times: int) -> Iterator[Finished]:
    import gc

    from orchgate.runner import pipeline_run

    gc.freeze()  # what is here now stays, and is not looked at again
    for number in range(times):
        if number:
            gc.collect()  # the objects of a run know each other, and nobody else collects them here
        one = pipeline_run.run(setting, pipeline)
        yield one
        if one.status == "cancelled":
            return


class RunSummary:
    """What is shown of runs that have ended. A thousand take no more memory than one, unless each is to be shown
    as a `whole`: then their manifests are kept, compressed.
    """

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.statuses: set[str] = set()
        self.folders: list[str] = []
        self._rates: dict[str, dict[str, int]] = {}  # by stage
        self._packed: list[bytes] = []

    @classmethod
    def of(cls, finished: Iterable[Finished], *, whole: bool) -> Self:
        ended = cls(whole=whole)
        for one in finished:
            ended._add(one)
        return ended

    def _add(self, one: Finished) -> None:
        self.statuses.add(one.status)
        self.folders.append(one.folder)
        for stage in one.manifest["commands"]:
            row = self._rates.setdefault(stage["id"], {"runs": 0, "passed": 0, "flaky": 0})
            row["runs"] += stage["status"] in ("succeeded", "failed")
            row["passed"] += stage["status"] == "succeeded"
            row["flaky"] += stage["flaky"]
        if self.whole:
            import json
            import zlib

            self._packed.append(zlib.compress(json.dumps(one.manifest).encode()))

    def manifests(self) -> Iterator[Mapping[str, Any]]:
        """The manifests of runs that are shown as a whole."""
        import json
        import zlib

        return (json.loads(zlib.decompress(packed)) for packed in self._packed)

    def rates(self) -> list[dict[str, object]]:
        """For each stage, in how many of the runs that reached it it passed, and how often only when repeated."""
        rows = self._rates.items()
        return [{"id": name, **row, "rate": row["passed"] / row["runs"] if row["runs"] else None} for name, row in rows]


def exit_code(ended: RunSummary) -> int:
    """0 when every run succeeded, 1 when one failed, 130 when one was cancelled."""
    return next(work_tree.CODES[status] for status in _WORST_FIRST if status in ended.statuses)


def show(root: str, ended: RunSummary) -> None:
    """The runs, and how often each stage passed when there are several."""
    if ended.whole:
        _print_json(root, ended)
        return
    for folder in ended.folders:
        sys.stdout.write(escape(f"manifest: {work_tree.shown(root, folder)}") + "\n")
    if len(ended.folders) > 1:
        sys.stdout.writelines(escape(line) + "\n" for line in _table(ended.rates()))


def _print_json(root: str, ended: RunSummary) -> None:
    """One document, a run at a time: the head, with a place where the runs stand, and the runs in it."""
    from orchgate.outputs import _document

    facts = {"run_count": len(ended.folders), "pass_rates": ended.rates(), "runs": []}
    whole = _document.text_of(_document.headed("run", facts, VERSION))
    _document.begin()
    sys.stdout.write(whole.removesuffix("]\n}"))
    between = "\n"
    for folder, manifest in zip(ended.folders, ended.manifests(), strict=True):
        run_ = {"manifest_path": work_tree.shown(root, folder), **manifest}
        sys.stdout.write(between + _document.text_of(run_, depth=2))
        between = ",\n"
    sys.stdout.write("\n  ]\n}\n")


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len("stage"), *(len(row["id"]) for row in rows))
    yield f"{'stage':<{width}}  passed    rate  flaky"
    for row in rows:
        share = "-" if row["rate"] is None else f"{row['rate']:.1%}"
        passed = f"{row['passed']}/{row['runs']}"
        yield f"{row['id']:<{width}}  {passed:>6}  {share:>6}  {row['flaky']:>5}"
