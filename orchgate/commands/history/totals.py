"""`orchgate metrics --from`: the runs of many machines added up, here or on the workers of a cluster, to the same."""

from __future__ import annotations

import contextlib
import sys

from orchgate.commands.check import tell
from orchgate.commands.history import workspace
from orchgate.commands.shared import servers, work_tree
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.servers import Say
    from orchgate.history.git_store import RemoteSegments
    from orchgate.history.objects.addresses import StoreAddress
    from orchgate.history.objects.part_store import PartStore
    from orchgate.history.reduction import HistoryPiece, PieceTotals, Reduced
    from orchgate.history.repositories import RepositoryIdentity

    Show = Callable[[Sequence[Mapping[str, object]]], None]

VERSION = 1


def run(args: argparse.Namespace, show: Show) -> Verdict:
    """`show` writes the tables of pipelines. Raises OrchgateError."""
    with servers.said(args) as (lines, say), workspace.here(args.remote) as place:
        found, where = _reduced(place, args, say)
        rows = list(_rows(found, args.task))
        problems = [*workspace.faults_of(found.faults), *_left_out(found)]
        if args.output_format == "json":
            from orchgate.metrics.sketch import QUANTILE_ERROR
            from orchgate.outputs._document import headed

            history = {"where": where, "run_count": sum(int(str(row["run_count"])) for row in rows), "tasks": rows}
            facts = {"quantile_error": QUANTILE_ERROR, "tasks": [], "problems": problems, "history": history}
            work_tree.print_json(headed("metrics", facts, VERSION))
        else:
            _print(rows, where, show)
            workspace.say_problems(problems, say)
    # The document is the same wherever it was added up.
    for line in lines:
        tell(line)
    return Verdict.BROKEN if found.faults else Verdict.PASS


def _left_out(found: Reduced) -> Iterator[Mapping[str, object]]:
    from orchgate.outputs._document import problem

    return (problem("left_out", line) for line in found.left_out)


def _rows(found: Reduced, task: str) -> Iterator[dict[str, object]]:
    from orchgate.metrics import snapshot

    for (repository, name), aggregate in found.totals.items():
        if not task or name == task:
            yield {
                "repository": repository.name,
                "task_id": name or None,
                "run_count": aggregate.runs,
                "pipelines": snapshot.pipelines(aggregate),
            }


def _print(rows: Sequence[Mapping[str, object]], where: str, show: Show) -> None:
    if not rows:
        sys.stdout.write(f"no runs in {escape(where)}\n")
    for number, row in enumerate(rows):
        task = f", task {row['task_id']}" if row["task_id"] else ""
        sys.stdout.write(f"{chr(10) * bool(number)}{escape(str(row['repository']) + task)}\n")
        pipelines = row["pipelines"]
        assert isinstance(pipelines, list)
        show(pipelines)


def _reduced(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> tuple[Reduced, str]:
    from orchgate.history import reduction
    from orchgate.history.collect import ahead

    limit = ahead()
    with workspace.segments_of(place, args, args.source, say) as there, _runs(args) as run:
        address = workspace.address(place, args.source)
        bucket = address if args.scheduler and _is_bucket(address) else None

        def make(names: Sequence[str], identities: frozenset[RepositoryIdentity]) -> HistoryPiece:
            return reduction.HistoryPiece(tuple(_contents(there, names, bucket)), bucket, limit, identities)

        return reduction.reduced(reduction.pieces(there.names()), make, run), there.where


def _is_bucket(address: StoreAddress | None) -> bool:
    from orchgate.history.objects.addresses import FILE

    return address is not None and address.scheme != FILE


def _contents(
    there: RemoteSegments | PartStore, names: Sequence[str], bucket: StoreAddress | None
) -> Iterator[tuple[str, bytes | str | None]]:
    """Parts of a bucket are read where they are added up, all others here."""
    if bucket:
        yield from ((name, None) for name in names)
        return
    for name, content in there.read(names):
        yield name, content if isinstance(content, bytes) else content.message


@contextlib.contextmanager
def _runs(args: argparse.Namespace) -> Iterator[Callable[[Iterable[HistoryPiece]], Iterator[PieceTotals]]]:
    """What adds up pieces, in their order: this process, or workers."""
    from orchgate.history import reduction

    if not args.scheduler:
        yield lambda pieces: map(reduction.add_up, pieces)
        return
    from orchgate.cluster import connection, dispatch

    with connection.connected(args.scheduler, tell=tell) as cluster:

        def on_workers(pieces: Iterable[HistoryPiece]) -> Iterator[PieceTotals]:
            for done in dispatch.run_units(cluster, reduction.add_up, pieces):
                if done.problem:
                    raise OrchgateError(f"a part of the history could not be added up: {done.problem}")
                yield done.value

        yield on_workers
