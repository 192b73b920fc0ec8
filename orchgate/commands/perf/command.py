"""`orchgate perf`: is head slower than base? Measured in turn, or judged from recorded samples."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from orchgate.commands.shared import durations, options
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from orchgate.commands.perf.report import PerfRequest
    from orchgate.commands.shared.options import Parser
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.sampling import Side

SUMMARY = "judge speed: run base and head alternately, or --replay recorded samples"
ABOUT = """\
Without options, compares HEAD with the commit where it left the default branch,
by the pipeline that performance.pipeline of base's configuration names. Changes
that are not committed are not measured."""
EXAMPLES = (
    "orchgate perf",
    "orchgate perf --base HEAD~1 --max-time 5m diagnostics",
    "orchgate perf --max-pairs 32 -- make bench",
)
EXIT_CODES = {
    0: "no slower; also: slower within what is tolerated, or undecided where that is a warning",
    1: "slower, or worse in another way that blocks",
    3: "could not be measured, or undecided where that blocks",
}
JOBS = ("github", "gitlab")
_NAME_ONE = "name a PIPELINE (`orchgate plan` lists them), or put a command behind --"


def arguments(parser: Parser) -> None:
    parser.takes_command = True
    parser.usage = "orchgate perf [OPTIONS] [PIPELINE | -- CMD ...]"
    parser.add_argument(
        "--base", default="", metavar="REV", help="the commit to compare with (where head left the default branch)"
    )
    parser.add_argument("--head", default="", metavar="REV", help="the commit to judge (HEAD)")
    what = "at most so long, such as 30s, 5m or 1h30m (what the configuration says)"
    parser.add_argument("--max-time", type=durations.up_to(durations.DAY), metavar="TIME", help=what)
    parser.add_argument("--max-pairs", type=whole_number(1), metavar="N", help="at most N pairs of runs (256)")
    parser.add_argument(
        "--exact", action="store_true", help="count instructions with valgrind where CPU time does not decide"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="",
        metavar="FILE",
        help="also write what was measured to FILE: *.json in Bencher's format (medians of head), else raw JSON Lines",
    )
    parser.add_argument(
        "--benchstat", default="", metavar="PREFIX", help="also write PREFIX.base.txt and PREFIX.head.txt for benchstat"
    )
    parser.add_argument(
        "--replay", default="", metavar="FILE", help="judge recorded samples instead; - is standard input"
    )
    parser.add_argument("--print-job", choices=JOBS, help="print a CI job that measures a proposed change, and stop")
    parser.old_names = {
        "--budget": Renamed("--max-time"),
        "--pairs": Renamed("--max-pairs"),
        "--save": Renamed("--output"),
    }
    output_format(parser)
    parser.add_argument(
        "pipeline",
        nargs="?",
        default="",
        metavar="PIPELINE | -- CMD",
        help="a configured pipeline (performance.pipeline), or a command, run in both trees",
    )


def run(args: argparse.Namespace) -> int:
    if args.print_job:
        return _job(args)
    if args.replay:
        from orchgate.commands.perf import report

        given = (args.pipeline, args.command, args.base, args.head, args.output, args.max_time, args.max_pairs)
        if any((*given, args.exact, args.benchstat)):
            raise UsageError("--replay judges what was recorded: nothing is run", "orchgate perf --replay FILE")
        return report.replay(args.replay, args.output_format)
    options.refuse_both(args)
    from orchgate.commands.shared.running import here
    from orchgate.git.repository import open_repository

    repository = open_repository(here(), os.environ)
    try:
        return _measured(args, repository)
    finally:
        repository.close()


def _job(args: argparse.Namespace) -> int:
    from orchgate.lib import resources

    given = (args.pipeline, args.command, args.base, args.head, args.output, args.replay, args.max_time, args.max_pairs)
    if any((*given, args.exact, args.benchstat)) or args.output_format != "text":
        raise UsageError("--print-job measures nothing", f"orchgate perf --print-job {args.print_job}")
    sys.stdout.write(resources.read("templates", f"performance-job-{args.print_job}.yml"))
    return 0


def _measured(args: argparse.Namespace, repository: Repository) -> int:
    from orchgate.commands.perf import definition, report
    from orchgate.commands.shared import progress_bar
    from orchgate.speed import paired, sides
    from orchgate.verdict.values import policy

    asked, config = _asked(args, repository)
    change = definition.change(repository, asked, config) if asked.pipeline else None
    if asked.pipeline and change is None:
        return definition.introduced(repository, asked, reproduce(asked, args), args.output_format)
    settings = config.performance
    started = time.monotonic()
    held_to = policy(settings, undecided_blocks=config.undecided_blocks)
    if asked.pipeline != settings.pipeline:  # what else is run need not write their file
        held_to = held_to._replace(benchmarks=held_to.benchmarks._replace(required=False))
    commits = {"base": asked.base, "head": asked.head}
    with sides.opened(
        repository,
        commits,
        environ=os.environ,
        pipeline=asked.pipeline,
        command=asked.command,
        folder=options.folder(repository.root or os.curdir) if asked.command else "",
        prepare=settings.setup,
    ) as (base, head):
        repository.blobs.close()  # a git that waits for questions would pass for a process a stage left behind
        with progress_bar.shown(asked.subject) as tell:
            measurement = paired.measure(
                (base, head),
                held_to,
                budget_seconds=args.max_time or settings.max_seconds,
                environ=os.environ,
                most_pairs=args.max_pairs or paired.MOST_PAIRS,
                prepare=settings.setup,
                watch=settings.watch,
                benchmarks=settings.benchmarks if settings.benchmarks.file else None,
                tell=tell,
                exact=args.exact or settings.exact,
            )
        measurement = _warned(repository, config, measurement)
        measurement = definition.with_differences(repository, asked, (base, head), measurement, change)
        kept = _keep(repository, asked, (base, head), measurement, args)
    left = (args.max_time or settings.max_seconds) - (time.monotonic() - started)
    told = definition.told(repository, asked, settings, change, left) if change else None
    shown = report.PerfReport(asked, (base, head), measurement, reproduce(asked, args), kept, settings.setup, told)
    if args.output_format == "json":
        report.as_json(shown)
    else:
        report.as_text(shown, dirty=_is_dirty(repository) if not args.head else False)
    return report.exit_code(measurement.judgement.verdict, held_to.inconclusive)


def _warned(repository: Repository, config: Config, measurement: Measurement) -> Measurement:
    from orchgate.commands.perf import definition
    from orchgate.speed import differences

    lines = list(definition.limits_note(repository, config))
    if not config.performance.setup:
        lines += differences.editable_installs(repository.root or repository.git_dir, os.environ)
    return measurement._replace(notes=(*measurement.notes, *lines))


def _config(repository: Repository, base: str, *, command: bool) -> Config:
    """The configuration that judges: the base's; where it has none, or none that a command needs, the one that is here.

    Raises ConfigError.
    """
    from orchgate.config.load import load_work_tree
    from orchgate.config.source import find
    from orchgate.speed.definition import config_of

    try:
        if find(repository.tree(base)).file:
            return config_of(repository, base, "base")
    except ConfigError:
        if not command:
            raise
    if repository.root:
        return load_work_tree(repository.root)
    return config_of(repository, repository.require_commit("HEAD"), "HEAD")


def _asked(args: argparse.Namespace, repository: Repository) -> tuple[PerfRequest, Config]:
    """What is compared, and the configuration that judges it."""
    from orchgate.commands.perf.report import PerfRequest

    command: tuple[str, ...] = args.command
    head = repository.require_commit(args.head or "HEAD")
    base, origin = (repository.require_commit(args.base), args.base) if args.base else _base(repository, head)
    config = _config(repository, base, command=bool(command))
    pipeline = args.pipeline or ("" if command else config.performance.pipeline or _proposed(repository, head))
    if not pipeline and not command:
        raise UsageError("nothing to measure: no pipeline is named, and performance.pipeline is not set", _NAME_ONE)
    return PerfRequest(base, head, origin, pipeline, command), config


def _proposed(repository: Repository, head: str) -> str:
    """The pipeline that pushes will be measured by once head has landed. Raises ConfigError."""
    from orchgate.speed.definition import config_of

    return config_of(repository, head, "head").performance.pipeline


def _base(repository: Repository, head: str) -> tuple[str, str]:
    """Where head left the default branch, and in words how that is known."""
    from orchgate.gate.branches import wishes
    from orchgate.git import scope as scopes
    from orchgate.git.target import ScopeTarget

    scope = scopes.resolve(repository, ScopeTarget("range", head), os.environ, wishes(repository))
    if scope.unknown:
        raise scope.unknown
    if scope.base is None or scope.base == head:
        raise UsageError(
            f"{head[:12]} is on the default branch: nothing to compare it with", "orchgate perf --base HEAD~1"
        )
    return scope.base, scope.origin


def _is_dirty(repository: Repository) -> bool:
    from orchgate.git.state import PendingStatus

    if not repository.root:
        return False
    with PendingStatus(repository) as question:
        pass
    state = question.answer()
    return state is not None and state.dirty


def reproduce(asked: PerfRequest, args: argparse.Namespace) -> str:
    """The command line that repeats a measurement."""
    import shlex

    words = ["orchgate", "perf", "--base", asked.base[:12], "--head", asked.head[:12]]
    if args.max_time:
        words += ["--max-time", durations.shown(args.max_time)]
    if args.max_pairs:
        words += ["--max-pairs", str(args.max_pairs)]
    if args.exact:
        words.append("--exact")
    return shlex.join([*words, *(("--", *asked.command) if asked.command else (asked.pipeline,))])


def _keep(
    repository: Repository,
    asked: PerfRequest,
    sides: tuple[Side, Side],
    measurement: Measurement,
    args: argparse.Namespace,
) -> Mapping[str, str]:
    """Where the samples went: the `file`, or `why` there is none, and the command that compares those of `benchstat`.

    Raises WriteError for what the user named.
    """
    import time

    from orchgate.git.call import common_dir
    from orchgate.lib import files
    from orchgate.runs import ids
    from orchgate.speed import sample_files

    if not measurement.pairs:
        return {"why": "no pair was measured"} if args.output or args.benchstat else {}
    content = sample_files.encoded(asked.subject[:200], sides, measurement)
    kept = {"without": "benchmarks"} if sample_files.LEFT_OUT.encode() in content else {}
    if args.benchstat:
        kept["benchstat"] = _benchstat(args.benchstat, measurement, asked.subject)
    if args.output:
        in_bencher_s = args.output.endswith(".json")
        files.replace(
            os.path.abspath(args.output), sample_files.bencher(measurement, asked.subject) if in_bencher_s else content
        )
        return {**kept, "file": args.output}
    try:
        path = sample_files.keep_samples(common_dir(repository.git_dir), ids.new_run_id(time.time()), content)
    except files.WriteError as error:
        return {**kept, "why": error.message}
    return {**kept, "file": os.path.relpath(path)}


def _benchstat(prefix: str, measurement: Measurement, subject: str) -> str:
    """Writes both sides' runs; the command that compares them. Raises WriteError."""
    import shlex

    from orchgate.lib import files
    from orchgate.speed import sample_files

    paths = [f"{prefix}.{side}.txt" for side in ("base", "head")]
    for path, content in zip(paths, sample_files.benchstat(measurement, subject), strict=True):
        files.replace(os.path.abspath(path), content)
    return shlex.join(["benchstat", *paths])
