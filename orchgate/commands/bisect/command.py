"""`orchgate bisect`: which commit between a good and a bad one made it slower."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchgate.commands.shared import options
from orchgate.errors import UsageError
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.bisect.measure import Question
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.verdict.values import Metric

SUMMARY = "find the commit that made it slower, between a good and a bad one"
EXAMPLE = "orchgate bisect --good v1.2 --bad HEAD PIPELINE, or … -- CMD"
_EPILOG = """\
Commits are those of bad's first-parent line after good. Each is measured in
turn with good; what cannot be built is skipped. What was measured is kept: the
same command goes on where it stopped.

exit codes: 0 found and confirmed; 2 wrong usage; 3 not decided, or the ends do
not differ; 130 interrupted
example: orchgate bisect --good v1.2 --bad HEAD -- make bench
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    import argparse

    parser.__class__ = options.Parser  # the command line's own is made before it is known which command this is
    parser.usage = "orchgate bisect --good REV --bad REV [OPTIONS] [PIPELINE | -- CMD ...]"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--good", required=True, metavar="REV", help="a commit that was fast enough")
    parser.add_argument("--bad", required=True, metavar="REV", help="a later one that is slower")
    parser.add_argument("--max-time", default="", metavar="TIME", help="30s, 20m, 1h30m (1h)")
    parser.add_argument("--sure", type=float, default=0.95, metavar="P", help="how sure it has to be (%(default)s)")
    parser.add_argument(
        "--metric", choices=("cpu-seconds", "wall-seconds"), default="cpu-seconds", help="(%(default)s)"
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on, and fail where there is nothing to go on with")
    again.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")
    parser.add_argument(
        "pipeline",
        nargs="?",
        default="",
        metavar="PIPELINE | -- CMD",
        help="a pipeline as good defines it (performance.pipeline), or a command, run at every commit",
    )


def run(args: argparse.Namespace) -> int:
    from orchgate.commands.bisect import result
    from orchgate.commands.shared import durations

    args.max_time = args.max_time or result.DEFAULT_TIME
    seconds = durations.parsed("--max-time", args.max_time, result.LONGEST)
    if not 0.5 < args.sure <= 0.999:
        raise UsageError("--sure takes a probability from 0.5 to 0.999", "--sure 0.95")
    options.check(args)
    from orchgate.commands.shared.running import here
    from orchgate.git.repository import open_repository

    repository = open_repository(here(), os.environ)
    try:
        return _bisected(args, repository, seconds)
    finally:
        repository.close()


def _bisected(args: argparse.Namespace, repository: Repository, seconds: float) -> int:
    from orchgate.bisect import measure, progress
    from orchgate.commands.bisect import output, report_json, result
    from orchgate.commands.shared import progress_bar
    from orchgate.git.call import common_dir

    question = _question(args, repository)
    good, bad = (question.commits[place][: result.WIDTH] for place in (0, -1))
    asked = result.Asked(good, bad, args.max_time, args.metric, args.pipeline, args.command)
    folder = os.path.join(common_dir(repository.git_dir), "orchgate", "bisect")
    repository.blobs.close()  # a git that waits for questions would pass for a process a stage left behind
    facts, metric = _facts(question), question.metric.name
    with progress.opened(folder, facts, question.commits, metric, fresh=args.fresh) as state:
        if args.resume and not state.lines:
            raise UsageError("there is no such bisection to go on with", result.command(asked))
        try:
            with progress_bar.shown(question.subject) as tell:
                found = measure.bisect(repository, question, state, os.environ, max_seconds=seconds, tell=tell)
        except KeyboardInterrupt:
            sys.stderr.write(f"orchgate: interrupted; to go on: {escape(result.command(asked))}\n")
            raise
    shown = result.shown(asked, question, found, repository, state.path)
    show = report_json.as_json if args.output_format == "json" else output.as_text
    show(shown)
    return result.exit_code(found.ending.how)


def _question(args: argparse.Namespace, repository: Repository) -> Question:
    from orchgate.bisect import measure
    from orchgate.git import line

    good, bad = repository.require_commit(args.good), repository.require_commit(args.bad)
    commits = line.between(repository, good, bad)
    config = _config(repository, good, is_command=bool(args.command))
    pipeline = args.pipeline or ("" if args.command else config.performance.pipeline)
    if not pipeline and not args.command:
        raise UsageError(f"nothing to measure: no pipeline is named, and none configured at {good[:12]}", EXAMPLE)
    folder = options.folder(repository.root) if args.command and repository.root else ""
    stages = measure.stages_of(repository, good, os.environ, pipeline=pipeline, command=args.command, folder=folder)
    import shlex

    subject = shlex.join(args.command) if args.command else pipeline
    metric = _metric(config, args.metric)
    return measure.Question(commits, stages, subject, folder, config.performance.prepare, metric, args.sure)


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


def _facts(question: Question) -> dict[str, str]:
    """All that makes it this question: pairs that were measured for another one are not mixed in."""
    import hashlib

    from orchgate.runs.machine import fingerprint

    asked = ascii((*(stage.definition for stage in question.stages), question.folder, *question.prepare))
    return {
        "good": question.commits[0],
        "bad": question.commits[-1],
        "asked": hashlib.sha256(asked.encode("ascii")).hexdigest(),
        "metric": question.metric.name,
        "machine": str(fingerprint()["fingerprint"]),
    }
