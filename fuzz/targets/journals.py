"""Journals: parsed, folded, held against the manifest beside them, and read by every verb that shows runs."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.judging import Asked, judge, samples
from fuzz.targets.manifests import JOURNAL, plain
from fuzz.violation import Violation
from orchgate.commands import status
from orchgate.commands.shared import screen
from orchgate.errors import OrchgateError
from orchgate.hotspots import ranking, timing
from orchgate.runner import session, writer
from orchgate.runner.writer import entry_of
from orchgate.runs import journal, state
from tests.journals import recorded
from tests.manifest_samples import PATH, TASK, own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def seeds() -> Iterable[bytes]:
    yield recorded(own())["events.jsonl"]
    yield from samples("events.jsonl")


def prepare(folder: str) -> Callable[[bytes], None]:
    manifest = recorded(own())["manifest.json"]
    document = json.loads(manifest)
    place = os.path.join(folder, os.path.dirname(PATH))
    os.makedirs(place)
    Path(folder, PATH).write_bytes(manifest)

    def one(data: bytes) -> None:
        Path(folder, JOURNAL).write_bytes(data)
        shown(place)
        report = judge(Asked(folder, {PATH: manifest, JOURNAL: data}, {}), "manifests")
        clean = not any(result.troubles or result.diagnostics for result in report.checks)
        if clean and plain(_derived(data)) != plain(document):
            raise Violation("a journal passes that adds up to another manifest")
        journal.difference(document, data)

    return one


def _derived(data: bytes) -> object:
    return json.loads(json.dumps(state.manifest(journal.parse(data).events)))


def shown(place: str) -> None:
    """What `status`, `resume`, `hotspots` and `metrics` make of a run."""
    rows = [status.row(TASK, place)]
    json.dumps(rows)
    list(status._text(rows, screen.here(), detailed=True))
    with contextlib.suppress(OrchgateError):
        timeline = timing.read(place)
        ranking.rank([timeline])
        ranking.rank_traffic([timeline])
    with contextlib.suppress(OrchgateError):
        run = session.status_of(place).run
        session.recorded_digest(journal.read(os.path.join(place, "events.jsonl")).events)
        if run.completed_at is not None:
            writer.encode_entry(entry_of(run))
