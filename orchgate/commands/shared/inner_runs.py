"""What is said of a run that was observed from outside and of those that its program recorded itself meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.runs.run import InnerRun, Run

    Row = dict[str, Any]

LISTED = 20


def lines(run: Run) -> Iterator[str]:
    """A line for each run inside another one, and one that says how sure that is."""
    links = run.inner_runs
    for link in links[:LISTED]:
        path = place(run.folder, link)
        yield f"inside: {link.pipeline_id} {_status(path)}: {os.path.relpath(path)}"
    if len(links) > LISTED:
        yield f"and {len(links) - LISTED} more inside; the manifest lists all"
    if any(link.linked_by != "process" for link in links):
        yield "they are linked by time and folder: what another process recorded at the same time looks alike"


def told(path: str, content: bytes) -> Iterator[str]:
    """Which runs are inside or around the one whose manifest this is, by their repository paths."""
    from orchgate.runs.run import decode

    try:
        run = decode(content, path)
    except OrchgateError:
        return
    for link in run.inner_runs[:LISTED]:
        inner = os.path.normpath(os.path.join(run.folder, link.manifest))
        yield f"inside, recorded by the observed program: {link.pipeline_id}: {inner}"
    if run.observed_by:
        yield f"recorded by a program that run {run.observed_by} observed"


def place(folder: str, link: InnerRun) -> str:
    """Where the manifest of a run inside is, by the folder of the run around it."""
    return os.path.normpath(os.path.join(os.path.realpath(folder), link.manifest))


def _status(path: str) -> str:
    from orchgate.runs.run import load

    try:
        return load(path).status
    except OrchgateError as error:
        return f"({error.message})"


def facts(run: Run) -> dict[str, Any]:
    """What a run's row says about those around and inside it."""
    links = [
        {"run_id": link.run_id, "task_id": link.task_id, "pipeline_id": link.pipeline_id, "linked_by": link.linked_by}
        | {"manifest_path": place(run.folder, link)}
        for link in run.inner_runs
    ]
    return {"observed_by": run.observed_by, "inner_runs": links}


def grouped(rows: Sequence[Row], row: Callable[[str, str], Row]) -> list[Row]:
    """Rows with those of the runs inside below them, one level deeper, each once. `row` makes one that is not there."""
    here = {_key(one): one for one in rows}
    watched: dict[str, list[Row]] = {}  # known while the outer one still goes on
    for one in rows:
        if one.get("observed_by"):
            watched.setdefault(one["observed_by"], []).append(one)
    found: dict[tuple[str, str], Row] = {}

    def inside(one: Row) -> Iterator[Row]:
        for link in (one.get("inner_runs") or ())[:LISTED]:
            yield here.get(_key(link)) or row(link["task_id"], os.path.dirname(link["manifest_path"]))
        yield from watched.get(one["run_id"], ())

    def add(one: Row, depth: int) -> None:
        if _key(one) not in found:
            found[_key(one)] = one | {"depth": depth}
            for other in inside(one):
                add(other, depth + 1)

    inner = {_key(other) for one in rows for other in (*(one.get("inner_runs") or ()), *watched.get(one["run_id"], ()))}
    for one in (*(one for one in rows if _key(one) not in inner), *rows):
        add(one, 0)
    return list(found.values())


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["task_id"], one["run_id"]
