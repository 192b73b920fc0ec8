"""What the replays that are recorded here say of the runs that they replay. Nothing is run."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.replay import comparison
from orchgate.runs import ids, journal
from orchgate.runs.decode import MAX_BYTES
from orchgate.runs.locate import read_file
from orchgate.runs.run import checked, load, timestamp
from orchgate.tools import differences as tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.replay.comparison import Difference, ReplayVerdict
    from orchgate.runs.run import Run

MOST = 200  # newest runs of a task among which replays of a run are looked for
_MARK, _PART = b'"replays": {', b'"parent_run_id": "'


class Standing(NamedTuple):
    """What became of a run that was replayed. `by` is the newest replay, `at` its end, `machine` its class."""

    run_id: str
    verdict: ReplayVerdict
    by: str
    at: str
    machine: str

    @property
    def words(self) -> str:
        """`confirmed by replay on 2026-01-06, machine class 1a2b3c4d`."""
        return f"{self.verdict.value} by replay on {self.at[:10]}, machine class {self.machine[:8] or 'unknown'}"


def differences(old: Run, new: Run) -> list[Difference]:
    """As `comparison.differences`, with the runs of sub-pipelines that are beside both."""

    def children(before: str, after: str) -> tuple[Run, Run] | None:
        places = (os.path.join(os.path.dirname(old.folder), before), os.path.join(os.path.dirname(new.folder), after))
        try:
            first, second = (load(os.path.join(place, ids.MANIFEST)) for place in places)
        except OrchgateError:  # only the stage that called it can be compared
            return None
        return first, second

    return comparison.differences(old, new, children)


def combined(old: Run, replayed: Sequence[Run]) -> list[Difference]:
    """The differences between a run and all replays of it."""
    every = [differences(old, one) for one in replayed]
    return comparison.combined(every, is_same_place(old, replayed[0]), same_tools=has_same_tools(old, replayed[0]))


def is_same_place(old: Run, new: Run) -> bool:
    """Whether two runs were made on one class of machines, with the same tools as far as both say."""
    machines = bool(old.machine and new.machine and old.machine.fingerprint == new.machine.fingerprint)
    return machines and has_same_tools(old, new)


def has_same_tools(old: Run, new: Run) -> bool:
    """Whether two runs had the same tools and the same kind of system, as far as both say."""
    if old.machine and new.machine:
        before, after = ((one.python, (one.kernel or "").partition(" ")[0]) for one in (old.machine, new.machine))
        if before != after:
            return False
    return not tools.differences(old.tools, new.tools)


def is_of_another(folder: str) -> bool:
    """Whether the run in a folder replays another one, or is part of one; not where nobody can tell."""
    try:
        data = read_file(os.path.join(folder, ids.MANIFEST), MAX_BYTES)
    except OrchgateError:
        return False
    return _MARK in data or _PART in data


def of_replay(folder: str) -> Standing | None:
    """What a replay, and others of the same run, say of it. None where the run is not here, or not as it was.

    Raises OrchgateError where the record of either cannot be read or contradicts itself.
    """
    run = _read(folder)
    return of_run(os.path.join(os.path.dirname(folder), run.replays.run_id)) if run.replays else None


def of_run(folder: str) -> Standing | None:
    """What the newest replays of a run say of it; None for a run that was never replayed to an end.

    Raises OrchgateError where its own record cannot be read or contradicts itself.
    """
    found = list(_replays(folder))
    if not found:
        return None
    old, sha256 = _read(folder), files.sha256_hex(read_file(os.path.join(folder, ids.MANIFEST), MAX_BYTES))
    same = [run for run in found if run.replays and run.replays.manifest_sha256 == sha256]
    return _standing(old, same) if same else None


def _standing(old: Run, replayed: Sequence[Run]) -> Standing:
    newest = replayed[0]
    found = combined(old, replayed)
    at = timestamp(newest.completed_at or newest.started_at)
    machine = newest.machine.fingerprint if newest.machine else ""
    return Standing(old.run_id, comparison.verdict(found), newest.run_id, at, machine)


def _replays(folder: str) -> Iterator[Run]:
    """The replays of a run that came to their own end, the newest first. One that cannot be read is none."""
    cli, run_id = os.path.split(folder)
    try:
        names = sorted((name for name in os.listdir(cli) if ids.RUN_ID.fullmatch(name) and name > run_id), reverse=True)
    except OSError:
        return
    for name in names[:MOST]:
        try:
            data = read_file(os.path.join(cli, name, ids.MANIFEST), MAX_BYTES)
            if _MARK not in data or run_id.encode() not in data:
                continue
            run = _read(os.path.join(cli, name))
        except OrchgateError:
            continue
        if run.replays and run.replays.run_id == run_id and run.status in ("succeeded", "failed"):
            yield run


def _read(folder: str) -> Run:
    path = os.path.join(folder, ids.MANIFEST)
    return checked(journal.require_file(path, MAX_BYTES), path)
