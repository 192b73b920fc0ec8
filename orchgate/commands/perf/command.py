"""`orchgate perf`: is head slower than base? Measured in turn, or judged from recorded samples."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from orchgate.commands.perf import on_cluster
from orchgate.commands.shared import options
from orchgate.commands.shared.options import Renamed, output_options, whole_number
from orchgate.errors import ConfigError, UsageError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.perf.report import Answer, PerfRequest, Question
    from orchgate.commands.shared.command_line import Parser
    from orchgate.config.settings import Config, Performance
    from orchgate.git.repository import Repository
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Policy

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


def arguments(parser: Parser) -> None:
    parser.usage = "orchgate perf [OPTIONS] [PIPELINE | -- CMD ...]"
    parser.add_argument(
        "--base", default="", metavar="REV", help="the commit to compare with (where head left the default branch)"
    )
    parser.add_argument("--head", default="", metavar="REV", help="the commit to judge (HEAD)")
    what = "at most so long, such as 30s, 5m or 1h30m (what the configuration says)"
    parser.add_argument("--max-time", type=options.up_to(options.DAY), metavar="TIME", help=what)
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
    on_cluster.arguments(parser)
    parser.add_argument("--print-job", choices=JOBS, help="print a CI job that measures a proposed change, and stop")
    parser.old_names = {
        "--budget": Renamed("--max-time"),
        "--pairs": Renamed("--max-pairs"),
        "--save": Renamed("--output"),
    }
    output_options(parser)
    parser.set_defaults(schemas=("perf",))
    options.measured(parser, "performance.pipeline")


def run(args: argparse.Namespace) -> int:
    if args.print_job:
        return _job(args)
    if args.output_file:
        from orchgate.commands.shared import delivery

        delivery.require(args.output_file)
    if args.replay:
        return _replayed(args)
    options.refuse_both(args)
    on_cluster.refuse(args)
    from orchgate.gate import session

    with session.opened() as repository:
        return _compared(args, repository)


def _replayed(args: argparse.Namespace) -> int:
    from orchgate.commands.perf import documents, report

    given = (args.pipeline, args.command, args.base, args.head, args.output, args.max_time, args.max_pairs)
    if any((*given, args.exact, args.benchstat, args.scheduler, args.machine_class)):
        raise UsageError("--replay judges what was recorded: nothing is run", "orchgate perf --replay FILE")
    found = report.replayed(args.replay)
    code = report.exit_code(found.verdict, found.held_to.inconclusive)
    return documents.delivered(args, documents.of_streams(found.judgements, found.held_to), found.own, code)


def _job(args: argparse.Namespace) -> int:
    from orchgate.lib import files

    given = (args.pipeline, args.command, args.base, args.head, args.output, args.replay, args.max_time, args.max_pairs)
    if any((*given, args.exact, args.benchstat, args.output_file)) or args.output_format != "text":
        raise UsageError("--print-job measures nothing", f"orchgate perf --print-job {args.print_job}")
    sys.stdout.write(files.read_data("templates", f"performance-job-{args.print_job}.yml"))
    return 0


def _compared(args: argparse.Namespace, repository: Repository) -> int:
    from orchgate.commands.perf import documents, report

    asked, config = _asked(args, repository)
    change = report.change(repository, asked, config) if asked.pipeline else None
    if asked.pipeline and change is None:
        new = report.introduced(repository, asked, reproduce(asked, args))
        return documents.delivered(args, documents.of_new_pipeline(new), report.forms(new, dirty=False), 0)
    question = report.Question(args, asked, config, _policy(config, asked), change)
    sides, measurement, redefined = (on_cluster.compared if args.scheduler else _compared_here)(question, repository)
    held_to = question.held_to
    kept = _keep(repository, asked, sides, measurement, args, policy=held_to)
    shown = report.PerfReport(
        asked, sides, measurement, reproduce(asked, args), kept, config.performance.setup, redefined, held_to
    )
    dirty = args.output_format != "json" and not args.head and _is_dirty(repository)
    code = report.exit_code(measurement.judgement.verdict, held_to.inconclusive)
    return documents.delivered(args, documents.of_measurement(shown, held_to), report.forms(shown, dirty=dirty), code)


def _compared_here(question: Question, repository: Repository) -> Answer:
    from orchgate.commands.perf import report

    args, asked, config, held_to, change = question
    settings = config.performance
    started = time.monotonic()
    with _sides(repository, asked, settings.setup) as sides:
        repository.blobs.close()  # a git that waits for questions would pass for a process a stage left behind
        measurement = _measured(args, asked, settings, held_to, sides)
        measurement = _warned(repository, config, measurement)
        measurement = report.with_differences(repository, asked, sides, measurement, change)
    left = (args.max_time or settings.max_seconds) - (time.monotonic() - started)
    redefined = report.redefined(repository, asked, settings, change, left) if change else None
    return sides, measurement, redefined


def _policy(config: Config, asked: PerfRequest) -> Policy:
    from orchgate.verdict.values import policy

    held_to = policy(config.performance, undecided_blocks=config.undecided_blocks)
    if asked.pipeline != config.performance.pipeline:  # what else is run need not write their file
        held_to = held_to._replace(benchmarks=held_to.benchmarks._replace(required=False))
    return held_to


@contextlib.contextmanager
def _sides(repository: Repository, asked: PerfRequest, setup: Sequence[str]) -> Iterator[tuple[Side, Side]]:
    """The work trees of base and head. Raises ConfigError, GitError."""
    from orchgate.speed import work_trees

    with work_trees.opened(
        repository,
        {"base": asked.base, "head": asked.head},
        environ=os.environ,
        pipeline=asked.pipeline,
        command=asked.command,
        folder=options.folder(repository.root or os.curdir) if asked.command else "",
        prepare=setup,
    ) as (base, head):
        yield base, head


def _measured(
    args: argparse.Namespace, asked: PerfRequest, settings: Performance, policy: Policy, sides: tuple[Side, Side]
) -> Measurement:
    """Raises OrchgateError, KeyboardInterrupt."""
    from orchgate.commands.shared import lines
    from orchgate.speed import paired

    with lines.progress_shown(asked.subject) as tell:
        return paired.measure(
            sides,
            policy,
            budget_seconds=args.max_time or settings.max_seconds,
            environ=os.environ,
            most_pairs=args.max_pairs or paired.MOST_PAIRS,
            prepare=settings.setup,
            watch=settings.watch,
            benchmarks=settings.benchmarks if settings.benchmarks.file else None,
            tell=tell,
            exact=args.exact or settings.exact,
        )


def _warned(repository: Repository, config: Config, measurement: Measurement) -> Measurement:
    from orchgate.commands.perf import report
    from orchgate.speed import work_trees

    lines = list(report.limits_note(repository, config))
    if not config.performance.setup:
        lines += work_trees.editable_installs(repository.root or repository.git_dir, os.environ)
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
        raise UsageError(
            "nothing to measure: no pipeline is named, and performance.pipeline is not set", options.NAME_ONE
        )
    return PerfRequest(base, head, origin, pipeline, command), config


def _proposed(repository: Repository, head: str) -> str:
    """The pipeline that pushes will be measured by once head has landed. Raises ConfigError."""
    from orchgate.speed.definition import config_of

    return config_of(repository, head, "head").performance.pipeline


def _base(repository: Repository, head: str) -> tuple[str, str]:
    """Where head left the default branch, and in words how that is known."""
    from orchgate.config.branches import wishes
    from orchgate.git import scope as scopes
    from orchgate.model import ScopeTarget

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
        words += ["--max-time", options.duration_text(args.max_time)]
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
    *,
    policy: Policy,
) -> Mapping[str, str]:
    """Where the samples went: the `file`, or `why` there is none, and the command that compares those of `benchstat`.

    Raises WriteError for what the user named.
    """
    import time

    from orchgate.git.call import common_dir
    from orchgate.lib import files
    from orchgate.runs import ids
    from orchgate.speed import kept as kept_files

    if not measurement.pairs:
        return {"why": "no pair was measured"} if args.output or args.benchstat else {}
    content = kept_files.encoded_samples(asked.subject[:200], sides, measurement)
    kept = {"without": "benchmarks"} if kept_files.LEFT_OUT.encode() in content else {}
    if args.benchstat:
        kept["benchstat"] = _benchstat(args.benchstat, measurement, asked.subject)
    if args.output:
        in_bencher_s = args.output.endswith(".json")
        files.replace(
            os.path.abspath(args.output), kept_files.bencher(measurement, asked.subject) if in_bencher_s else content
        )
        return {**kept, "file": args.output}
    try:
        name = ids.new_run_id(time.time())
        path = kept_files.keep(common_dir(repository.git_dir), name, content, kept_files.encoded(measurement, policy))
    except files.WriteError as error:
        return {**kept, "why": error.message}
    return {**kept, "file": os.path.relpath(path)}


def _benchstat(prefix: str, measurement: Measurement, subject: str) -> str:
    """Writes both sides' runs; the command that compares them. Raises WriteError."""
    import shlex

    from orchgate.lib import files
    from orchgate.speed import kept as kept_files

    paths = [f"{prefix}.{side}.txt" for side in ("base", "head")]
    for path, content in zip(paths, kept_files.benchstat(measurement, subject), strict=True):
        files.replace(os.path.abspath(path), content)
    return shlex.join(["benchstat", *paths])
