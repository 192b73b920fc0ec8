"""`orchgate perf --scheduler`: the same comparison, with its pairs on the workers of somebody else's cluster."""

from __future__ import annotations

import os
import shlex

from orchgate.commands.check import tell as warn
from orchgate.commands.shared import options
from orchgate.errors import UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.perf.report import Answer, DefinitionChange, PerfRequest, Question
    from orchgate.git.repository import Repository
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.remote_pairs import RemoteComparison
    from orchgate.speed.sampling import Side

NOT_COUNTED = "instructions are not counted on workers: performance.exact has no effect with --scheduler"
_LFS = "files of Git LFS are pointers on workers: what is measured there does not have their contents"


def arguments(parser: argparse.ArgumentParser) -> None:
    options.scheduler(parser, "run the pairs on the workers of this Dask scheduler")
    parser.add_argument(
        "--machine-class", default="", metavar="CLASS", help="with --scheduler: workers of this class only (most's)"
    )


def refuse(args: argparse.Namespace) -> None:
    """Raises UsageError for what does not go together, or for what is no address."""
    if args.machine_class and not args.scheduler:
        raise UsageError("--machine-class chooses among workers", "orchgate perf --scheduler tcp://HOST:8786 …")
    if not args.scheduler:
        return
    if args.exact:
        raise UsageError("--exact counts instructions here, and not on workers", "leave out one of the two")
    from orchgate.cluster import connection

    connection.checked_address(args.scheduler)


def compared(question: Question, repository: Repository) -> Answer:
    """What is compared, what was measured, and what head does to the definition.

    Raises OrchgateError, KeyboardInterrupt.
    """
    from orchgate.commands.perf import report
    from orchgate.git.store import parcel

    asked, settings = question.asked, question.config.performance
    sides = _sides(repository, asked)
    comparison = _comparison(question, options.folder(repository.root or os.curdir) if asked.command else "")
    pack = parcel.packed(repository, (asked.base, asked.head))
    repository.blobs.close()
    measurement = _measured(question.args, comparison, sides, pack)
    notes = [*report.limits_note(repository, question.config)]
    notes += [NOT_COUNTED] if settings.exact else []
    notes += [_LFS] if _has_lfs(repository, asked) else []
    measurement = measurement._replace(notes=(*measurement.notes, *notes))
    return sides, _with_differences(repository, question, measurement), _redefined(question.change)


def _measured(
    args: argparse.Namespace, comparison: RemoteComparison, sides: tuple[Side, Side], pack: bytes
) -> Measurement:
    from orchgate.cluster import connection
    from orchgate.commands.shared import lines
    from orchgate.speed import farmed, paired

    with connection.connected(args.scheduler, tell=warn, alone=True) as cluster:
        cluster.of_one_class(args.machine_class)
        with lines.progress_shown(shlex.join(comparison.command) or comparison.pipeline) as tell:
            most = args.max_pairs or paired.MOST_PAIRS
            return farmed.measure(cluster, comparison, sides, pack, most_pairs=most, tell=tell)


def _sides(repository: Repository, asked: PerfRequest) -> tuple[Side, Side]:
    """Both run what base defines. Raises ConfigError."""
    from orchgate.speed import definition
    from orchgate.speed.push.gate import tree_of
    from orchgate.speed.sampling import Side
    from orchgate.speed.work_trees import of_command

    if asked.command:
        stages = of_command(asked.command, options.folder(repository.root or os.curdir))
    else:
        stages = definition.read(repository, asked.base, asked.pipeline, "base").stages
    base, head = (
        Side(label, commit, tree_of(repository, commit), "", "", stages)
        for label, commit in (("base", asked.base), ("head", asked.head))
    )
    return base, head


def _comparison(question: Question, folder: str) -> RemoteComparison:
    from orchgate.speed.remote_pairs import RemoteComparison

    args, asked, config, held_to, _ = question
    settings = config.performance
    return RemoteComparison(
        asked.base,
        asked.head,
        asked.pipeline,
        asked.command,
        folder,
        tuple(settings.setup),
        tuple(settings.watch),
        settings.benchmarks if settings.benchmarks.file else None,
        held_to,
        args.max_time or settings.max_seconds,
    )


def _has_lfs(repository: Repository, asked: PerfRequest) -> bool:
    """Whether a tree has files of which git keeps only pointers."""
    found = repository.git.attempt("grep", "-q", "-e", "filter=lfs", asked.head, "--", ".gitattributes")
    return found.code == 0


def _with_differences(repository: Repository, question: Question, measurement: Measurement) -> Measurement:
    """With what else than the code differs, as far as it is known here: programs are those of the workers."""
    from orchgate.speed import work_trees

    if measurement.judgement.verdict is Verdict.PASS:
        return measurement
    files = work_trees.of_trees(repository, question.asked.base, question.asked.head)
    variables = work_trees.set_variables(question.change.variables if question.change else ())
    return measurement._replace(differs=(*files, *variables))


def _redefined(change: PipelineChange | None) -> DefinitionChange | None:
    """That in words; what a stage costs that head adds is measured here only."""
    from orchgate.commands.perf import report
    from orchgate.speed import definition, work_trees

    if change is None:
        return None
    costs = dict.fromkeys(change.added, f"{work_trees.NOT_MEASURED}: pairs ran on workers")
    return report.DefinitionChange(definition.findings(change, costs), definition.facts(change, costs))
