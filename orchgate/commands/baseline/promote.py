"""`orchgate baseline promote`: runs that are recorded already, or a candidate from elsewhere, become the baseline."""

from __future__ import annotations

import os
from itertools import islice

from orchgate.commands.baseline import common
from orchgate.commands.shared import options, work_tree
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.runs import ids, stages
from orchgate.verdict import baseline
from orchgate.verdict.baseline_facts import MAX_RUNS, MIN_RUNS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from orchgate.commands.baseline.common import Here
    from orchgate.commands.shared.command_line import Parser
    from orchgate.runs.run import Run
    from orchgate.verdict.baseline import Baseline, BaselineRecord

_SEARCHED = 500  # newest runs of a task among which those of one kind are looked for
_AGAIN = "orchgate run PIPELINE --task TASK --measure --runs 12"


SUMMARY = "make runs that are recorded already, or a candidate, the baseline"
ABOUT = "Names runs, or with --task alone takes its newest runs of one pipeline, tree and machine type."
EXAMPLES = ("orchgate baseline promote --task 0001-faster-start", "orchgate baseline promote --from candidate.json")


def arguments(parser: Parser) -> None:
    parser.takes_command = True
    parser.add_argument("run", nargs="*", metavar="RUN", help="run ids, or paths of manifests, all of one tree")
    parser.add_argument("--from", default="", dest="candidate", metavar="FILE", help="what `record -o FILE` wrote")
    work_tree.task_option(parser, "this task's runs; without RUN its newest of one kind")
    common.add_accepting(parser)
    options.output_format(parser, "baseline-report")


def run(args: argparse.Namespace) -> Verdict:
    if args.command:
        raise UsageError("promote takes runs, not a command", "orchgate baseline record -- CMD")
    if bool(args.candidate) == bool(args.run or args.task):
        raise UsageError("name runs, or a candidate", "promote RUN …, promote --task TASK, or promote --from FILE")
    from orchgate.git import history

    with common.here() as at:
        given = common.reason(args, "")
        notes: list[str] = []
        records = _candidates(args.candidate) if args.candidate else [_from_runs(at, _chosen(at, args, notes), notes)]
        who = history.author(at.repository)
        records = [one._replace(recorded_by=who, reason=given or one.reason) for one in records]
        for record in records:
            if record.dirty and not args.allow_dirty:
                message = f"the runs of {record.pipeline} were of a tree with changes that no commit holds"
                raise OrchgateError(message, "commit, and measure again; or pass --allow-dirty: the record will say so")

        def change(found: Baseline) -> Baseline:
            for record in records:
                if found.of(*record.place) == record:  # one that was killed came so far
                    continue
                common.refuse_overwriting(at, found, *record.place, args)
                found = found.put(record)
            return found

        known = baseline.update(at.root, change)

        def heading() -> Iterator[str]:
            yield f"promoted {counted(len(records), 'record')}; {common.COMMIT_IT}"

        common.show(args, [common.row(at, record, known) for record in records], notes, heading)
    return Verdict.PASS


def _candidates(path: str) -> list[BaselineRecord]:
    """The records of a file that `record -o` wrote, or of another repository's baseline."""
    data = baseline.read(path, path)
    if data is None:
        raise UsageError(f"there is no file {path!r}", "orchgate baseline record PIPELINE -o FILE")
    records = list(baseline.parse(data, path).records.values())
    if not records:
        raise OrchgateError(f"{path} holds no record", "orchgate baseline record PIPELINE -o FILE")
    return records


def _chosen(at: Here, args: argparse.Namespace, notes: list[str]) -> list[Run]:
    """The runs that are meant: those named, or the newest of a task that are all of one kind."""
    if args.run:
        folders = dict.fromkeys(work_tree.locate(at.root, name, args.task)[1] for name in args.run)
        return [_load(folder) for folder in folders]
    newest = list(islice(ids.all_runs(at.root, work_tree.task_with_runs(at.root, args.task)), _SEARCHED))
    runs = []
    for task, run in newest:
        try:
            runs.append(_load(ids.run_folder(at.root, task, run)))
        except OrchgateError as error:
            notes.append(f"run {run} {error.message}: left out")
    usable = [run for run in runs if not _fault(run)]
    if not usable:
        raise UsageError(f"no run of task {args.task} can be promoted", _fault(runs[0]) if runs else _AGAIN)
    return [run for run in usable if _kind(run) == _kind(usable[0])][: common.RUNS]


def _load(folder: str) -> Run:
    from orchgate.runs import journal
    from orchgate.runs.decode import MAX_BYTES
    from orchgate.runs.run import checked

    path = os.path.join(folder, ids.MANIFEST)
    return checked(journal.require_file(path, MAX_BYTES), path)


def _kind(run: Run) -> tuple[object, ...]:
    """What has to be the same in all runs of one record."""
    git, machine = run.git, run.machine
    return run.pipeline_id, git and git.tree, git and git.dirty, machine and machine.fingerprint


def _fault(run: Run) -> str:
    """Why a run's cost cannot be a sample; "" when it can."""
    if run.status != "succeeded":
        return f"run {run.run_id} {run.status}: only runs that succeeded can be promoted"
    if run.format != "orchgate" or run.git is None or run.machine is None or run.usage is None:
        return f"run {run.run_id} does not say of which commit it is, on which machine, and what it cost"
    for stage in run.stages:
        if stage.cached or stage.flaky:
            what = "was answered from the cache" if stage.cached else "passed only when repeated"
            return f"run {run.run_id}: stage {stage.id} {what}, so its cost is none"
    return ""


def _from_runs(at: Here, runs: Sequence[Run], notes: list[str]) -> BaselineRecord:
    """One record from runs of one kind. Raises UsageError for those that do not belong together."""
    from orchgate.tools.stored import texts

    for run in runs:
        if reason := _fault(run):
            raise UsageError(reason, _AGAIN)
        for what, one, other in zip(("pipeline", "tree", "dirty", "machine"), _kind(runs[0]), _kind(run), strict=True):
            if one != other:
                message = f"runs {runs[0].run_id} and {run.run_id} differ in {what}: {one} and {other}"
                raise UsageError(message, "promote runs of one kind; --task TASK alone takes the newest of one")
    if not MIN_RUNS <= len(runs) <= MAX_RUNS:
        raise UsageError(f"{len(runs)} runs are not enough, or too many: {MIN_RUNS} to {MAX_RUNS}", _AGAIN)
    hashes = {_hash(run.folder) for run in runs}
    if len(hashes) > 1:
        raise UsageError("the pipeline's definition changed between these runs", "promote runs of one kind")
    samples, more = common.common([_metrics(run) for run in runs])
    notes += more
    if "processes" not in samples:
        notes.append(f"stages may have run side by side, and processes were not counted: {_AGAIN}")
    first = runs[0]
    assert first.git  # without, and without the next, there was a fault
    assert first.machine
    if first.machine.fingerprint != at.fingerprint:
        notes.append(f"these runs are of machine type {first.machine.fingerprint}, this machine is {at.fingerprint}")
    newest = max(run.completed_at or run.started_at for run in runs)
    return baseline.BaselineRecord(
        pipeline=first.pipeline_id,
        fingerprint=first.machine.fingerprint,
        pipeline_hash=hashes.pop(),
        commit=first.git.commit,
        tree=first.git.tree,
        dirty=bool(first.git.dirty),
        recorded_at=ids.moment(newest.timestamp()),
        recorded_by="",
        reason="promoted from recorded runs",
        machine=common.facts(_machine(first)),
        samples=samples,
        run_ids=tuple(sorted(run.run_id for run in runs)),
        lower_bounds=common.bounds([run.usage.lower_bounds for run in runs if run.usage], samples),
        tools=texts(tool for run in runs for tool in run.tools),
    )


def _machine(run: Run) -> dict[str, object]:
    return run.machine.asdict() if run.machine else {}


def _hash(folder: str) -> str:
    """The definition a run was made by, with those of the runs it called. Raises OrchgateError without its journal."""
    from orchgate.runs import journal

    reached, waiting, seen = [], [folder], set[str]()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        from orchgate.runner import session

        reached.append(session.recorded_digest(journal.read(os.path.join(at, ids.JOURNAL)).events))
        called = [child.run_id for child in _load(at).child_runs if ids.RUN_ID.fullmatch(child.run_id)]
        waiting += [os.path.join(os.path.dirname(at), run_id) for run_id in called]
    return stages.combined(reached[0], reached)


def _metrics(run: Run) -> dict[str, float]:
    """A run's cost as `speed.paired.sample` has it: the sum over its stages, without what the runner itself took."""
    assert run.usage  # without, there was a fault
    spent = run.usage.asdict()
    walls = [stage.usage.wall_seconds for stage in run.stages if stage.usage]
    spent["wall_seconds"] = None if None in walls else round(sum(filter(None, walls)), 6)
    from orchgate.measures.declared import costs_of, tests_of

    metrics = {**costs_of(spent), "success_rate": 1.0}
    metrics |= tests_of([run.tests.asdict()] if run.tests else [])
    if run.usage.tree_rss_bytes is None:
        # Versions that did not sample it say of no process that it took less than the runner itself held.
        for name in ("max_rss_bytes", "tree_rss_bytes"):
            metrics.pop(name, None)
    return {**run.metrics, **metrics}
