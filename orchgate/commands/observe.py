"""`orchgate observe`: runs any program unchanged and records what it costs, as a run like any other."""

from __future__ import annotations

import argparse
import os
import sys

from orchgate.commands.shared import work_tree
from orchgate.commands.shared.lines import inner_lines, lower_bounds
from orchgate.commands.shared.options import output_format
from orchgate.errors import UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.runs import usage
from orchgate.runs.ids import MANIFEST
from orchgate.runs.run import from_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.observe.observe import Observed, ObserveRequest
    from orchgate.runner.session import RunSettings

SUMMARY = "run any program and record what it costs: time, memory, processes, and what happens to files"
ABOUT = """\
The program keeps the terminal, its input and its output. What was observed goes
to standard error, with --output-format json to the last line of standard
output."""
EXAMPLES = ("orchgate observe -- make test", "orchgate observe --watch build --task 0001-faster-start -- ./build.sh")
ONLY_OWN_CODES = True
EXIT_CODES = {
    2: "wrong usage or configuration, or the program's own",
    3: "the program could not be recorded, or the program's own",
    126: "the program could not be started",
    127: "the program was not found",
    128: "and more: a signal ended the program",
    0: "and any other: the program's own",
}
VERSION = 1
TASK = "observed"
SHOWN = 3  # files
# What is counted of files: in words, and the metric that counts all of them.
DONE = {
    "created": ("created", "files_created"),
    "written": ("writes", "file_writes"),
    "renamed": ("renames to them", "file_renames"),
    "removed": ("removed", "files_removed"),
    "read": ("reads", "file_reads"),
}
ONE = {"writes": "write", "reads": "read", "renames to them": "rename to it"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "orchgate observe [--watch PATH] [--task ID] [--name ID]\n"
        "                        [--output-format {text,json}] -- CMD …"
    )
    parser.add_argument(
        "--watch", action="append", metavar="PATH", help="a folder whose files are counted (evidence.roots)"
    )
    work_tree.task_option(parser, "the task whose evidence this is (%(default)s)", default=TASK)
    parser.add_argument("--name", default="", metavar="ID", help="the pipeline it counts as (the program's name)")
    output_format(parser, "observe")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- CMD …", help="the program and its arguments")


def run(args: argparse.Namespace) -> int:
    from orchgate.observe.observe import observe

    argv = tuple(args.program[1:] if args.program[:1] == ["--"] else args.program)
    if not argv or not argv[0]:
        raise UsageError("no program is named", "orchgate observe -- make test")
    from orchgate.runner.session import Silent

    setting = work_tree.setting(args.task, Silent(), measured=True, is_known=args.task == TASK)
    observed = observe(setting, _request(setting, args, argv))
    sys.stdout.flush()
    show(setting.root, observed, args.output_format)
    return observed.code


def _request(setting: RunSettings, args: argparse.Namespace, argv: tuple[str, ...]) -> ObserveRequest:
    from orchgate.observe.observe import ObserveRequest
    from orchgate.runs.ids import check_task

    name = args.name or os.path.basename(argv[0])
    named = [os.path.abspath(path) for path in args.watch or ()]
    for folder in named:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise UsageError(f"--watch {folder}: not a directory", "name the directory it is in")
    folders = named or [os.path.join(setting.root, folder) for folder in _roots(setting.root)]
    return ObserveRequest(argv, check_task(name), tuple(folders))


def _roots(root: str) -> tuple[str, ...]:
    from orchgate.config.load import load_work_tree

    return load_work_tree(root).evidence.roots


def show(root: str, observed: Observed, output: str) -> None:
    manifest = observed.finished.manifest
    path = work_tree.shown(root, observed.finished.folder)
    if output == "json":
        from orchgate.outputs._document import headed

        facts = {"exit_code": observed.code, "manifest_path": path, "run": manifest, "activity": observed.activity}
        work_tree.print_json(headed("observe", facts, VERSION), indent=None)
        return
    inside = inner_lines(from_manifest(manifest, os.path.join(observed.finished.folder, MANIFEST)))
    lines = [*_costs(observed), *_files(observed.activity), *inside, f"manifest: {path}"]
    sys.stderr.writelines(f"orchgate: {escape(line)}\n" for line in lines)


def _costs(observed: Observed) -> Iterator[str]:
    stage = observed.finished.manifest["commands"][0]
    how = f"{stage['status']} ({stage['status_detail']})" if stage["status_detail"] else stage["status"]
    yield f"{how}, exit code {observed.code}"
    if not (spent := stage["usage"]):
        return
    metrics: Mapping[str, Any] = stage.get("metrics", {})
    away = f", {usage.duration(spent['away_seconds'])} away" if spent.get("away_seconds") else ""
    least = dict.fromkeys(spent.get("lower_bounds", {}), "at least ")
    cpu = f"{least.get('cpu_seconds', '')}{spent['user_seconds'] + spent['system_seconds']:.3f} s CPU"
    processes = least.get("processes", "") + _counted(spent["processes"], "process", "processes")
    yield f"{least.get('wall_seconds', '')}{spent['wall_seconds']:.3f} s wall, {cpu}, {processes}{away}"
    tree = spent["tree_rss_bytes"]
    yield (
        f"memory: {least.get('max_rss_bytes', '')}{_least_known(spent['max_rss_bytes'])} in the largest process, "
        f"{_size(tree) if tree else 'unknown'} in total (sampled; shared pages count for each process)"
    )
    known = {**spent, **metrics}
    read, written, asked_read, asked_written = (
        least.get(name.removeprefix("asked_"), "") + _size(known.get(name))
        for name in ("read_bytes", "written_bytes", "asked_read_bytes", "asked_written_bytes")
    )
    yield (
        f"bytes: {read} read from and {written} written to storage; "
        f"{asked_read} and {asked_written} by its system calls"
    )
    yield from lower_bounds(spent)


def _least_known(rss: int | None) -> str:
    """The kernel keeps the largest resident set from before the program began, which was ours."""
    from orchgate.runner.process_tree import own_peak

    return f"at most {_size(own_peak())}" if rss is None else _size(rss)


def _files(activity: Mapping[str, Any]) -> Iterator[str]:
    totals, bounds = activity["totals"], activity["lower_bound_of"]
    counts = ", ".join(
        f"{'at least ' if metric in bounds else ''}{done}"
        for (key, (_, metric)) in DONE.items()
        if (done := _done(totals, key))
    )
    least = "at least " if "files_written" in bounds else ""
    absent = activity["absent"]
    where = ", ".join(f"{one} (does not exist)" if one in absent else one for one in activity["watched"])
    yield f"below {where}: {least}{_counted(totals['files'], 'file', 'files')}{': ' if counts else ''}{counts}"
    for path, one in list(activity["files"].items())[:SHOWN]:
        if one["written"] + one["renamed"] + one["read"] > 1:
            yield f"  {path}: {', '.join(done for key in DONE if (done := _done(one, key)))}"
    yield from activity["notes"]
    yield from _beside(activity)


def _done(counts: Mapping[str, int], key: str) -> str:
    """`3 writes`; empty where there were none."""
    number, word = counts[key], DONE[key][0]
    return f"{number:,} {word if number > 1 else ONE.get(word, word)}" if number else ""


def _beside(activity: Mapping[str, Any]) -> Iterator[str]:
    """Where the counts are lower bounds, what was not followed, and what other programs did."""
    if where := activity["lower_bound_where"]:
        more = activity["lower_bound_folders"] - 1
        folder, why = next(iter(where.items()))
        beside = f" and {_counted(more, 'more folder', 'more folders')}" if more else ""
        yield f"at least, because of {folder}{beside}: {why}"
    for link, target in list(activity["links"].items())[:SHOWN]:
        yield f"{link} is a link to {target}: not followed"
    if others := activity["others"]:
        named = ", ".join(list(activity["others_files"])[:SHOWN])
        yield f"not counted, written by other programs: {_counted(others, 'file', 'files')} ({named})"
    if shared := activity["shared"]:
        named = ", ".join(activity["shared_files"][:SHOWN])
        yield f"counted, though other programs wrote to them, too: {_counted(shared, 'file', 'files')} ({named})"


def _counted(number: int | None, noun: str, plural: str) -> str:
    return f"unknown {plural}" if number is None else f"{number:,} {noun if number == 1 else plural}"


def _size(number: float | None) -> str:
    if number is None:
        return "unknown"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError
