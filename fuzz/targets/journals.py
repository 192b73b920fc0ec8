"""Journals: parsed, folded, held against the manifest beside them, and read by what shows or exports runs."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from fuzz.judging import Asked, judge, samples
from fuzz.targets.manifests import JOURNAL, plain
from fuzz.violation import Violation
from orchgate.commands import status
from orchgate.commands.shared import run_rows, screen
from orchgate.errors import OrchgateError
from orchgate.exports import bmf, chrome, csv, ctrf, junit, otlp
from orchgate.exports.recorded import exports
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
        differs = journal.difference(document, data) is not None
        if differs and exported_as_success(place):
            raise Violation("a manifest that its journal contradicts is exported as a success")

    return one


def exported_as_success(place: str) -> bool:
    """Writes a run in every format, each of which its readers must be able to read."""
    items = list(exports([place]))
    for module in (chrome, otlp, ctrf, bmf):
        json.loads("".join(module.chunks(items)), parse_constant=_no_number)
    list(csv.chunks(items))
    suite = ElementTree.fromstring("".join(junit.chunks(items)))[0]
    return suite.get("failures") == suite.get("errors") == "0"


def _no_number(name: str) -> None:
    raise Violation(f"{name} is no JSON")


def _derived(data: bytes) -> object:
    return json.loads(json.dumps(state.manifest(journal.parse(data).events)))


def shown(place: str) -> None:
    """What `status`, `resume`, `hotspots` and `metrics` make of a run."""
    rows = [run_rows.row(TASK, place)]
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
