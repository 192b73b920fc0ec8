"""`orchgate metrics --from`: a history added up piece by piece, on workers or here, to the same bytes."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.history import query, reduction, segments
from orchgate.history.entries import HistoryEntry, as_counted, read_line
from orchgate.history.reduction import HistoryPiece
from orchgate.history.repositories import RepositoryIdentity, of_head
from orchgate.history.segments import HistorySegment
from orchgate.metrics import fold, snapshot
from tests import cluster_units as units
from tests.histories import OTHER_MACHINE, Clones, clones, line, record, told, write_lines
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import living, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchgate.history.reduction import PieceTotals
    from tests.repo import Repo

LATER = datetime(2030, 1, 1, tzinfo=UTC)

# Against what adds up everything at once

identities = st.tuples(st.sampled_from(["a/b", "c/d"]), st.sampled_from([None, "1" * 16, "2" * 16]))
entries = st.builds(
    lambda run, month, stray, **fields: line(
        run,
        **fields,
        run_id=f"{stray or f'2026-0{month}'}-01T10-00-{run:02d}-000Z-{run:08x}",
        started_at=f"2026-0{month}-01T10:00:{run:02d}.000Z",
        completed_at=f"2026-0{month}-01T10:00:{run:02d}.500Z",
    ),
    run=st.integers(0, 4),
    month=st.integers(1, 3),
    stray=st.sampled_from(["", "", "", "2026-01", "2026-09", "run-xyz"]),
    machine=st.sampled_from(["0123456789abcdef", "fedcba9876543210"]),
    resumes=st.integers(0, 2),
    task_id=st.sampled_from(["0001-demo", "0002-other"]),
    status=st.sampled_from(["succeeded", "failed"]),
    wall_seconds=st.floats(0, 1e5),
    user_seconds=st.floats(0, 1e5),
    stages=st.lists(
        st.builds(lambda name: {"id": name, "status": "succeeded", "wall_seconds": 0.1}, st.sampled_from("abc")),
        max_size=3,
        unique_by=lambda stage: stage["id"],
    ),
)
pushes = st.lists(st.tuples(identities, st.lists(entries, min_size=1, max_size=6)), max_size=6)


def parts_of(pushed: Iterable[tuple[tuple[str, str | None], Sequence[dict[str, Any]]]]) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for (name, roots), lines in pushed:
        read = [read_line(json.dumps(one).encode()) for one in lines]
        runs = segments.best(segments.line_of(one) for one in read if isinstance(one, HistoryEntry))
        made |= segments.made(name, roots, runs.values())
    return made


def at_once(parts: Mapping[str, bytes]) -> dict[tuple[str, str], list[dict[str, object]]]:
    """By repository and task, what is known when everything is in one hand."""
    found = [segments.parse(name, content) for name, content in parts.items()]
    sets = [(of_head(one.head), one.runs) for one in found if isinstance(one, HistorySegment)]
    sums: dict[tuple[str, str], fold.Sums] = {}
    for runs in query.counted(sets, LATER, None):
        for entry in runs.entries:
            sums.setdefault((runs.repository.name, entry.task_id or ""), fold.Sums()).add([as_counted(entry)])
    return {of: in_order(snapshot.pipelines(one.total())) for of, one in sums.items()}


def in_order(pipelines: list[dict[str, Any]]) -> list[dict[str, object]]:
    return [{**one, "stages": sorted(one["stages"], key=lambda stage: stage["stage"])} for one in pipelines]


def by_pieces(parts: Mapping[str, bytes]) -> dict[tuple[str, str], list[dict[str, object]]]:
    def make(names: Sequence[str], known: frozenset[RepositoryIdentity]) -> HistoryPiece:
        return HistoryPiece(tuple((name, parts[name]) for name in names), None, LATER, known)

    def run(pieces: Iterable[HistoryPiece]) -> Iterator[PieceTotals]:
        return map(reduction.add_up, pieces)

    found = reduction.reduced(reduction.pieces(parts), make, run)
    return {(of[0].name, of[1]): snapshot.pipelines(one) for of, one in found.totals.items()}


@given(pushes)
def test_pieces_add_up_to_what_everything_at_once_does(pushed: Any) -> None:
    parts = parts_of(pushed)

    assert json.dumps(sorted(by_pieces(parts).items())) == json.dumps(sorted(at_once(parts).items()))


def test_a_run_in_two_parts_counts_once_wherever_they_are() -> None:
    run = line(1, run_id="2026-01-31T23-59-59-000Z-00000001")
    moved = {**run, "started_at": "2026-02-01T10:00:00.000Z", "completed_at": "2026-02-01T10:01:00.000Z", "resumes": 1}
    parts = parts_of([(("a/b", "1" * 16), [run]), (("renamed/b", "1" * 16), [moved])])
    assert len(reduction.pieces(parts)) == 2

    ((_, (pipeline,)),) = by_pieces(parts).items()

    assert (pipeline["runs"], pipeline["resumed_runs"]) == (1, 1)


def test_a_part_that_is_damaged_has_a_name_and_the_others_count() -> None:
    parts = parts_of([(("a/b", None), [line(1)])])
    (name,) = parts
    piece = HistoryPiece(((name, parts[name]), (f"{name[:-70]}{'0' * 64}.jsonl", "has other bytes")), None, LATER)

    found = reduction.add_up(piece)

    assert [one.why for one in found.faults] == ["has other bytes"]
    assert sum(one.runs for one in found.totals.values()) == 1


# The real program


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


def metrics(repo: Repo, *words: str, code: int = 0) -> bytes:
    """The bytes of the document."""
    argv = (ORCHGATE, "metrics", "--output-format", "json", *words)
    done = subprocess.run(argv, cwd=repo.root, capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


@pytest.mark.slow
def test_the_runs_of_two_machines_are_added_up_from_a_store(made: Clones, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    store = str(tmp_path / "shared")
    record(made.one, times=2)
    record(made.other, env=OTHER_MACHINE)
    for repo in (made.one, made.other):
        told(repo, "push", "--to", store)

    document = json.loads(metrics(made.third, "--from", store))
    jsonschema.validate(document, closed("metrics"))
    text = made.third.orchgate("metrics", "--from", store)

    assert document["history"]["run_count"] == 3
    (task,) = document["history"]["tasks"]
    assert (task["repository"], task["task_id"]) == ("remote", "0001-demo")
    assert sorted(one["run_count"] for one in task["pipelines"]) == [1, 2]
    assert "remote, task 0001-demo\n" in text.out
    assert made.third.orchgate("metrics", "--from", store, "--task", "0009-x").out == f"no runs in {store}\n"


def test_a_scheduler_needs_a_history(repo: Repo) -> None:
    result = repo.orchgate("metrics", "--scheduler", "tcp://127.0.0.1:9")

    assert (result.code, "--scheduler adds up a history" in result.out) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "git"])
def test_workers_add_up_to_the_same_bytes_though_one_of_them_is_killed(made: Clones, tmp_path: Path, kind: str) -> None:
    (tmp_path / "shared").mkdir()
    store = str(tmp_path / "shared") if kind == "folder" else "git"
    for number, repo in enumerate((made.one, made.other)):
        runs = [
            line(
                run,
                machine=f"{number + 1}" * 16,
                wall_seconds=0.1 * run,
                run_id=f"2026-{month:02d}-01T10-{run // 60:02d}-{run % 60:02d}-000Z-{run:08x}",
                started_at=f"2026-{month:02d}-01T10:{run // 60:02d}:{run % 60:02d}.000Z",
                completed_at=f"2026-{month:02d}-01T10:{run // 60:02d}:{run % 60:02d}.500Z",
            )
            for month in range(1, 9)
            for run in range(100 * number, 100 * number + 150)  # fifty of them are both machines'
        ]
        write_lines(repo, runs)
        told(repo, "push", "--to", store)
    alone = metrics(made.third, "--from", store)
    folder = tmp_path / "cluster"
    folder.mkdir()

    with units.processes(folder) as cluster:
        for _ in range(4):
            cluster.worker()
        argv = (ORCHGATE, "metrics", "--output-format", "json", "--from", store, "--scheduler", cluster.address)
        running = subprocess.Popen(argv, cwd=made.third.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: living("orchgate.cluster.child"))
        cluster.process_of(0).kill()
        out, err = running.communicate(timeout=300)
        again = metrics(made.third, "--from", store, "--scheduler", cluster.address)
        cluster.scheduler.kill()
        metrics(made.third, "--from", store, "--scheduler", cluster.address, code=3)

    assert json.loads(alone)["history"]["run_count"] == 8 * 250
    assert (out, running.returncode) == (alone, 0), err
    assert again == alone
