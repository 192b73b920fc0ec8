"""`orchgate baseline record`: runs of HEAD, one after the other, in a work tree of their own."""

from __future__ import annotations

import os
import sys
import time

from orchgate.commands.baseline import common
from orchgate.commands.shared import options
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib import files
from orchgate.lib.forks import cores
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.runs import ids, pipeline, stages
from orchgate.verdict import baseline
from orchgate.verdict.baseline import PATH, Baseline, BaselineRecord, render
from orchgate.verdict.baseline_facts import MAX_RUNS, MIN_RUNS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.baseline.common import Here
    from orchgate.commands.shared.command_line import Parser
    from orchgate.speed.pair_runner import Progress
    from orchgate.speed.sampling import MeasuredRun, Side

_CLEAR = "\r\x1b[K"  # the terminal's line


SUMMARY = "run HEAD's pipeline several times and record what it costs"
ABOUT = """\
Without arguments, runs the pipeline that performance.pipeline names. Changes
that are not committed are not measured."""
EXAMPLES = ("orchgate baseline record", 'orchgate baseline record diagnostics --force --reason "a new parser"')
EXIT_CODES = {1: "a run failed, so nothing was recorded"}


def arguments(parser: Parser) -> None:
    options.measured(parser, "performance.pipeline")
    runs = options.whole_number(MIN_RUNS, MAX_RUNS)
    parser.add_argument("--runs", type=runs, default=common.RUNS, metavar="N", help="how many runs (%(default)s)")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write a candidate for `promote --from`")
    common.add_accepting(parser)
    options.output_format(parser, "baseline-report")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.git import history

    if args.output and os.path.realpath(args.output).endswith(f"/{PATH}"):
        raise UsageError("--output writes a candidate, not the baseline itself", "orchgate baseline record PIPELINE")
    with common.here() as at:
        name = common.target(at, args)
        reason = common.reason(args, "first baseline")
        if not args.output:  # before minutes are spent on it
            common.refuse_overwriting(at, baseline.load(at.root), name, at.fingerprint, args)
        if at.repository.head is None:
            raise OrchgateError("there is no commit to measure yet", 'git commit -m "a first commit"')
        dirty = common.tree_state(at, args)
        measured = _measure(at, args, at.repository.head, name)
        if failure := _failure(measured.samples):
            return _failed(args, name, failure)
        whole = [sample for sample in measured.samples if not sample.repeated]
        if len(whole) < MIN_RUNS:
            raise _flaky(name, measured.samples)
        samples, notes = common.common([sample.without_hidden() for sample in whole])
        if left := len(measured.samples) - len(whole):
            notes.append(f"{left} of {len(measured.samples)} runs left out: a stage passed only when repeated")
        notes += ["tracked files differ from HEAD, which was measured without these changes"] if dirty else []
        notes += _busy()
        notes += list(dict.fromkeys(note for sample in measured.samples for note in sample.notes))
        record = BaselineRecord(
            pipeline=name,
            fingerprint=at.fingerprint,
            pipeline_hash=measured.digest,
            commit=at.repository.head,
            tree=measured.tree,
            dirty=dirty,
            recorded_at=ids.moment(time.time()),
            recorded_by=history.author(at.repository),
            reason=reason,
            machine=common.facts(at.machine),
            samples=samples,
            lower_bounds=common.bounds([sample.lower_bounds for sample in whole], samples),
            tools=measured.tools,
        )
        _keep(at, args, record, notes)
    return Verdict.PASS


def _busy() -> list[str]:
    """A busy machine stretches what is waited for: a push would take the pipeline for longer than it is."""
    load = os.getloadavg()[0]
    if load <= cores() + 1:  # what is measured is one of them
        return []
    return [f"the load was {load:.1f} on {counted(cores(), 'core')}: wall times are longer than on an idle machine"]


def _flaky(name: str, samples: Sequence[MeasuredRun]) -> OrchgateError:
    """What an attempt cost that failed is no cost of a run that goes well."""
    repeated = [sample for sample in samples if sample.repeated]
    message = (
        f"{len(repeated)} of {len(samples)} runs of {name} passed only when stage {repeated[0].repeated} was repeated"
    )
    return OrchgateError(
        message, f"at least {MIN_RUNS} have to pass at the first attempt; --runs {2 * len(samples)} measures more"
    )


class _Measured(NamedTuple):
    """Runs of one tree, and the digest of what was run."""

    tree: str
    digest: str
    samples: tuple[MeasuredRun, ...]
    tools: Mapping[str, str]


def _measure(at: Here, args: argparse.Namespace, commit: str, name: str) -> _Measured:
    from orchgate.speed import paired, work_trees
    from orchgate.tools import stored

    performance = at.config.performance
    folder = options.folder(at.root) if args.command else ""
    opened = work_trees.opened(
        at.repository,
        {"head": commit},
        environ=os.environ,
        pipeline="" if args.command else name,
        command=args.command,
        folder=folder,
        prepare=performance.setup,
    )
    with opened as (side,):
        at.repository.close()  # a git that waits for questions would pass for a process a stage left behind
        samples = paired.sample(
            side,
            args.runs,
            environ=os.environ,
            prepare=performance.setup,
            watch=performance.watch,
            tell=_tell if sys.stderr.isatty() else lambda _: None,
        )
        if sys.stderr.isatty():
            sys.stderr.write(_CLEAR)
        digest = stages.command_hash(args.command, folder) if args.command else _hash(side, name)
        tools = stored.texts(work_trees.started_tools(at.repository, side, os.environ))
        return _Measured(side.tree, digest, samples, tools)


def _hash(side: Side, name: str) -> str:
    """The definition that was run, which is the commit's, not the work tree's."""
    from orchgate.config.load import load_work_tree

    known = pipeline.load_all(side.root, load_work_tree(side.root))
    return stages.pipeline_hash(known, pipeline.find(known, name))


def _tell(progress: Progress) -> None:
    """On a terminal's standard error; elsewhere it would only fill a log."""
    sys.stderr.write(_CLEAR + escape(progress.doing))
    sys.stderr.flush()


def _failure(samples: Sequence[MeasuredRun]) -> dict[str, object] | None:
    for number, sample in enumerate(samples, 1):
        if sample.failure:
            from orchgate.speed import measurements

            return {"run": number, **measurements.as_json(sample.failure)}
    return None


def _failed(args: argparse.Namespace, name: str, failure: dict[str, object]) -> Verdict:
    def heading() -> Iterator[str]:
        yield f"{name}: run {failure['run']} failed in stage {failure['stage']}: {failure['detail']}"
        if failure["said"]:
            yield f"  last line: {failure['said']}"
        yield "nothing was recorded"

    common.show(args, (), (), heading, failure)
    return Verdict.FAIL


def _keep(at: Here, args: argparse.Namespace, record: BaselineRecord, notes: Sequence[str]) -> None:
    """Writes the record to its place and shows it. Raises UsageError when somebody was faster."""
    if args.output:
        files.replace(os.path.abspath(args.output), render(Baseline({record.place: record})))
        known = Baseline()
        lines = [f"recorded {record.runs} runs as a candidate: {args.output}"]
        lines.append(f"  hint: orchgate baseline promote --from {quoted(args.output)}")
    else:

        def change(found: Baseline) -> Baseline:
            common.refuse_overwriting(at, found, *record.place, args)
            return found.put(record)

        known, lines = baseline.update(at.root, change), [f"recorded {record.runs} runs; {common.COMMIT_IT}"]

    common.show(args, [common.row(at, record, known)], notes, lambda: iter(lines))
