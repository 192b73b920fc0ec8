"""The six manifests that the real orchestrator wrote."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from orchgate.checks.manifests import CHECK
from orchgate.model import Severity
from orchgate.runs.decode import format_of, is_valid
from orchgate.runs.run import load
from tests.support import folder_context
from tests.test_manifest_schemas import schema

if TYPE_CHECKING:
    from orchgate.model import Outcome

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
JANUARY, JUNE, DIAGNOSTICS = CORPUS / "small-runs/jan", CORPUS / "small-runs/june", CORPUS / "jan-diagnostics"
MANIFESTS = sorted(CORPUS.glob("**/.runs/*/cli/*/manifest.json")) if CORPUS.exists() else []
AFTERWARDS = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
KILLED = "2026-11-23T04-05-02-092Z-7a067493"
FAILED = "2026-11-23T04-04-45-747Z-7cf28773"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")


def judge(folder: Path, now: datetime.datetime = AFTERWARDS) -> Outcome:
    return CHECK.run(folder_context(folder, tree=True)._replace(judged_at=now.timestamp()))


def test_there_are_six_manifests() -> None:
    assert len(MANIFESTS) == 6


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_both_validators_accept_every_one(path: Path) -> None:
    document = json.loads(path.read_text())
    kind = format_of(document)

    assert (is_valid(document, kind), jsonschema.Draft202012Validator(schema(kind)).is_valid(document)) == (True, True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_each_is_told_to_be_of_its_month(path: Path) -> None:
    assert load(str(path)).format == ("codex-2026-06" if "june" in path.parts else "codex-2026-01")


@pytest.mark.parametrize(("folder", "count"), [(DIAGNOSTICS, 1), (JANUARY, 3), (JUNE, 2)])
def test_all_are_found_and_nothing_else(folder: Path, count: int) -> None:
    assert judge(folder).examined == {"manifests": count}


@pytest.mark.parametrize("folder", [DIAGNOSTICS, JUNE])
def test_finished_runs_are_clean(folder: Path) -> None:
    assert judge(folder).findings == ()


def test_the_killed_run_is_abandoned_and_nothing_else_is_wrong() -> None:
    found = [(finding.rule, finding.location) for finding in judge(JANUARY).findings]

    assert found == [("MAN006", (f".runs/1001-jan/cli/{KILLED}/manifest.json", 11, 0))]


def test_an_abandoned_run_does_not_block() -> None:
    assert next(rule.severity for rule in CHECK.rules if rule.id == "MAN006") is Severity.WARNING


def test_seconds_after_its_last_heartbeat_it_still_counted_as_alive() -> None:
    alive = datetime.datetime(2026, 11, 23, 4, 5, 30, tzinfo=datetime.UTC)

    assert judge(JANUARY, alive).findings == ()


def test_the_failed_run_is_read_as_it_happened() -> None:
    run = load(str(JANUARY / f".runs/1001-jan/cli/{FAILED}/manifest.json"))

    assert [(stage.status, stage.exit_code) for stage in run.stages] == [
        ("succeeded", 0),
        ("skipped", 2),
        ("failed", 3),
        ("pending", None),
    ]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_every_log_is_found_from_the_manifest_alone(path: Path) -> None:
    run = load(str(path))
    logs = [log for stage in run.stages if (log := run.log(stage))]

    assert logs
    assert all(Path(log).is_file() for log in logs)


def test_a_run_stays_whole_when_it_is_moved(tmp_path: Path) -> None:
    shutil.copytree(JUNE / ".runs", tmp_path / "archive" / "june")
    (tmp_path / "orchgate.toml").write_text('[evidence]\nroots = ["archive/june"]\n')

    assert (judge(tmp_path).examined, judge(tmp_path).findings) == ({"manifests": 2}, ())


def test_a_log_that_is_gone_is_missed(tmp_path: Path) -> None:
    shutil.copytree(DIAGNOSTICS / ".runs", tmp_path / ".runs")
    (log,) = tmp_path.glob(".runs/*/cli/*/commands/04-test.ndjson")
    log.chmod(0o644)
    log.parent.chmod(0o755)
    log.unlink()

    assert [finding.rule for finding in judge(tmp_path).findings] == ["MAN005"]
