"""What the runs of a store show: the same as of runs that are read one by one, from the newest of them alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.history import segments
from orchgate.history.entries import HistoryEntry, read_line
from orchgate.history.query import Runs
from orchgate.history.repositories import RepositoryIdentity
from orchgate.history.sql import newest, relations
from orchgate.trends import answers, stored
from orchgate.trends.streams import CommitLine
from tests.test_history_sql import Folder
from tests.trending import OTHER, accepted, run_of, runs_of, shuffled, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orchgate.trends.answers import Answers

OURS, THEIRS = RepositoryIdentity("owner/name", "a" * 16), RepositoryIdentity("owner/other", "b" * 16)
LINE = [f"{nth:040x}" for nth in range(1, 201)]
MAIN = CommitLine("main", {commit: nth for nth, commit in enumerate(LINE)})
LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def entries(runs: Iterable[Mapping[str, Any]]) -> tuple[HistoryEntry, ...]:
    found = [read_line(json.dumps(run, separators=(",", ":")).encode()) for run in runs]
    return tuple(one for one in found if isinstance(one, HistoryEntry))


def push(folder: Folder, identity: RepositoryIdentity, runs: Iterable[Mapping[str, Any]]) -> None:
    folder.push(identity.name, identity.roots, [segments.line_of(entry) for entry in entries(runs)])


def here(identity: RepositoryIdentity = OURS, line: CommitLine | None = MAIN) -> answers.TrendContext:
    return answers.TrendContext(identity, line, accepted(LINE[0]), {"cpu_seconds": 0.01}, {})


def found(folder: Folder, known: answers.TrendContext) -> Answers:
    good, faults = folder.good()
    assert faults == []
    with relations.connected(str(folder.path)) as database:
        relations.lay(database, good)
        relations.settle(database, LATER, None)
        return stored.of_database(database, known)


def some_runs() -> list[dict[str, Any]]:
    fast = runs_of(LINE, step(120))
    slow = runs_of(LINE, lambda nth: 0.6 * (1 + 0.2 * (nth >= 90)), seed=2, machine=OTHER)
    slow = [{**run, "run_id": f"{run['run_id'][:-8]}f{run['run_id'][-7:]}"} for run in slow]
    for run in fast[::20]:
        run["stages"][1]["flaky"] = True
        run["flaky"] = ["test"]
    for run in slow[::7]:
        run["benchmarks"] = [{"name": "parse", "value": 0.01}]
    odd = [run_of(LINE[nth], 500 + nth, 9.0, status="failed") for nth in range(30)]
    return [*fast, *slow, *odd, *(run_of("e" * 40, 600 + nth, 9.0) for nth in range(30))]


@pytest.mark.parametrize("line", [MAIN, None])
def test_a_store_shows_what_its_runs_show_one_by_one(folder: Folder, line: CommitLine | None) -> None:
    runs = some_runs()
    mixed = shuffled(runs)
    push(folder, OURS, mixed[:250])
    push(folder, OURS, mixed[200:])

    one_by_one = answers.of_runs([Runs(OURS, entries(runs), {})], here(line=line))

    assert len(one_by_one.changes) >= 2
    assert one_by_one.flaky
    assert found(folder, here(line=line)) == one_by_one


def test_of_a_store_of_many_repositories_this_one_is_shown(folder: Folder) -> None:
    push(folder, OURS, runs_of(LINE, step(120)))
    push(folder, THEIRS, runs_of(LINE, step(60), seed=5))

    assert {one.key.repository for one in found(folder, here()).changes} == {"owner/name"}
    nobody = RepositoryIdentity("owner/third", "c" * 16)
    shown = found(folder, here(nobody))
    assert {one.key.repository for one in shown.changes} == {"owner/name", "owner/other"}
    assert {one.range.commits for one in shown.changes} == {None}


def test_only_the_newest_runs_of_a_store_are_read(folder: Folder) -> None:
    push(folder, OURS, runs_of(LINE, step(120)))
    good, _ = folder.good()
    with relations.connected(str(folder.path)) as database:
        relations.lay(database, good)
        relations.settle(database, LATER, None)

        ((label, read),) = newest.entries(database, [OURS.name], {OURS.name: MAIN.places}, 70, 10_000)

    assert (label, sorted(one.commit or "" for one in read)) == (OURS.name, LINE[-70:])


def test_an_empty_store_shows_nothing(folder: Folder) -> None:
    assert found(folder, here()) == answers.Answers(described={})
