"""`orchgate bisect`: which commit between a good and a bad one made it slower."""

from __future__ import annotations

import os
import sys

from orchgate.commands.bisect import report
from orchgate.commands.shared import options
from orchgate.commands.shared.options import output_format
from orchgate.errors import UsageError
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.bisect.measure import BisectionQuestion
    from orchgate.commands.shared.command_line import Parser
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.verdict.values import Metric

SUMMARY = "find the commit that made a pipeline or a command slower"
ABOUT = """\
Looks at the commits of bad's first-parent line after good. Each is run
alternately with good; what cannot be built is skipped. What was measured is
kept: the same command continues where it stopped."""
EXAMPLES = (
    "orchgate bisect --good v1.2 --bad HEAD diagnostics",
    "orchgate bisect --good v1.2 --bad HEAD -- make bench",
)
EXIT_CODES = {0: "found and confirmed", 3: "not decided, or good and bad do not differ"}


def arguments(parser: Parser) -> None:
    parser.usage = "orchgate bisect --good REV --bad REV [OPTIONS] [PIPELINE | -- CMD ...]"
    parser.add_argument("--good", required=True, metavar="REV", help="a commit that was fast enough")
    parser.add_argument("--bad", required=True, metavar="REV", help="a later one that is slower")
    what = f"at most so long, such as 30s, 5m or 1h30m ({options.duration_text(report.DEFAULT_SECONDS)})"
    most, default = options.up_to(report.LONGEST), report.DEFAULT_SECONDS
    parser.add_argument("--max-time", type=most, default=default, metavar="TIME", help=what)
    parser.add_argument("--sure", type=float, default=0.95, metavar="P", help="how sure it has to be (%(default)s)")
    what = "what is compared (%(default)s)"
    parser.add_argument("--metric", choices=("cpu-seconds", "wall-seconds"), default="cpu-seconds", help=what)
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue, and fail where there is nothing to continue")
    again.add_argument("--fresh", action="store_true", help="forget what was measured before")
    output_format(parser, "bisect")
    options.measured(parser, "performance.pipeline; as good defines it")


def run(args: argparse.Namespace) -> int:
    if not 0.5 < args.sure <= 0.999:
        raise UsageError("--sure takes a probability from 0.5 to 0.999", "--sure 0.95")
    options.refuse_both(args)
    from orchgate.gate import session

    with session.opened() as repository:
        return _bisected(args, repository)


def _bisected(args: argparse.Namespace, repository: Repository) -> int:
    from orchgate.bisect import measure, progress
    from orchgate.commands.bisect import report
    from orchgate.commands.shared import lines, work_tree
    from orchgate.git.call import common_dir

    question = _question(args, repository)
    good, bad = (question.commits[place][: report.WIDTH] for place in (0, -1))
    asked = report.BisectRequest(good, bad, args.max_time, args.metric, args.pipeline, args.command)
    folder = os.path.join(common_dir(repository.git_dir), "orchgate", "bisect")
    repository.blobs.close()  # a git that waits for questions would pass for a process a stage left behind
    facts, metric = _facts(question), question.metric.name
    with progress.opened(folder, facts, question.commits, metric, fresh=args.fresh) as state:
        if args.resume and not state.lines:
            raise UsageError("there is no such bisection to continue", report.command(asked))
        try:
            with lines.progress_shown(question.subject) as tell:
                found = measure.bisect(repository, question, state, os.environ, max_seconds=args.max_time, tell=tell)
        except KeyboardInterrupt:
            sys.stderr.write(f"orchgate: interrupted; to continue: {escape(report.command(asked))}\n")
            raise
    path = work_tree.inside(repository.root, state.path)
    shown = report.shown(asked, question, found, repository, path)
    show = report.as_json if args.output_format == "json" else report.as_text
    show(shown)
    return report.exit_code(found.ending.how)


def _question(args: argparse.Namespace, repository: Repository) -> BisectionQuestion:
    from orchgate.bisect import measure
    from orchgate.git import history

    good, bad = repository.require_commit(args.good), repository.require_commit(args.bad)
    commits = history.first_parent_line(repository, good, bad)
    config = _config(repository, good, is_command=bool(args.command))
    pipeline = args.pipeline or ("" if args.command else config.performance.pipeline)
    if not pipeline and not args.command:
        raise UsageError(
            f"nothing to measure: no pipeline is named, and none configured at {good[:12]}", options.NAME_ONE
        )
    folder = options.folder(repository.root) if args.command and repository.root else ""
    stages = measure.stages_of(repository, good, os.environ, pipeline=pipeline, command=args.command, folder=folder)
    import shlex

    subject = shlex.join(args.command) if args.command else pipeline
    metric = _metric(config, args.metric)
    return measure.BisectionQuestion(commits, stages, subject, folder, config.performance.setup, metric, args.sure)


def _config(repository: Repository, good: str, *, is_command: bool) -> Config:
    """The configuration that says how to prepare a tree: good's own, or for a command the one that is here."""
    from orchgate.config.load import load, load_work_tree

    if is_command and repository.root:
        return load_work_tree(repository.root)
    return load(repository.tree(good))


def _metric(config: Config, name: str) -> Metric:
    """What is called slower: more than the tolerance. As much again has to be ruled out for "they do not differ"."""
    from orchgate.verdict.values import policy

    known = policy(config.performance).metrics[name.replace("-", "_")]
    return known._replace(block=2 * known.tolerance, most=None, least=None)


def _facts(question: BisectionQuestion) -> dict[str, str]:
    """All that makes it this question: pairs that were measured for another one are not mixed in."""
    from orchgate.runs.machine import fingerprint

    asked = ascii((*(stage.definition for stage in question.stages), question.folder, *question.prepare))
    return {
        "good": question.commits[0],
        "bad": question.commits[-1],
        "asked": sha256_hex(asked),
        "metric": question.metric.name,
        "machine": str(fingerprint()["fingerprint"]),
    }
