"""The real runs of the other orchestrator: what its own performance work never saw."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchgate.cli import main
from orchgate.hotspots.ranking import HotspotKind, rank
from orchgate.hotspots.timeline import Phase, Timeline
from orchgate.hotspots.timing import read

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus")
RUNS = sorted(path.parent for path in CORPUS.glob("**/.runs/*/cli/*/manifest.json")) if CORPUS.exists() else []
NOOP = "small-runs/jan/.runs/1001-jan/cli/2026-11-23T04-04-20-435Z-4c38f2ba"
KILLED = "small-runs/jan/.runs/1001-jan/cli/2026-11-23T04-05-02-092Z-7a067493"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")


@pytest.fixture
def diagnostics() -> Timeline:
    (folder,) = CORPUS.glob("jan-diagnostics/.runs/*/cli/*")
    return read(str(folder))


def test_the_waiting_before_the_stages_is_the_first_thing_to_work_on(diagnostics: Timeline) -> None:
    first = rank([diagnostics])[0]

    assert (first.kind, f"{first.seconds:.1f}", f"{first.share:.3f}") == (HotspotKind.WAITING, "14.9", "0.124")


def test_its_five_gaps_are_listed(diagnostics: Timeline) -> None:
    first = rank([diagnostics])[0]

    assert [(stage, f"{seconds:.2f}") for stage, seconds in first.gaps] == [
        ("delegation-guard", "5.04"),
        ("build", "4.89"),
        ("lint", "4.31"),
        ("test", "0.55"),
        ("spec-guard", "0.15"),
    ]


def test_the_stage_that_takes_most_of_the_time_is_still_told(diagnostics: Timeline) -> None:
    longest = max(diagnostics.stages, key=lambda stage: stage.seconds())

    assert (longest.id, f"{longest.seconds(Phase.EXECUTING, Phase.SILENT):.1f}") == ("test", "94.9")


def test_a_pipeline_of_nothing_does_nothing_but_wait() -> None:
    timeline = read(str(CORPUS / NOOP))

    assert timeline.seconds(Phase.WAITING) / timeline.wall_seconds > 0.95


def test_a_killed_run_has_waited_for_the_stage_it_was_killed_in() -> None:
    timeline = read(str(CORPUS / KILLED))

    assert timeline.seconds(Phase.WAITING) == pytest.approx(10.016)
    assert "has not ended" in timeline.missing[0]


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_every_microsecond_of_a_real_run_is_spent_once(folder: Path) -> None:
    timeline = read(str(folder))

    assert sum(sum(stage.spent.values()) for stage in timeline.stages) == timeline.wall


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("kept", [0.0, 0.31, 0.77, 0.999])
def test_a_log_cut_off_anywhere_still_gives_a_whole_timeline(folder: Path, kept: float, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run", copy_function=shutil.copyfile)
    for log in (tmp_path / "run").rglob("*.ndjson"):
        data = log.read_bytes()
        log.write_bytes(data[: int(len(data) * kept)])

    timeline = read(str(tmp_path / "run"))

    assert sum(sum(stage.spent.values()) for stage in timeline.stages) == timeline.wall
    assert timeline.missing


@pytest.mark.parametrize("part", ["jan-diagnostics", "small-runs/jan", "small-runs/june"])
def test_a_task_s_folder_is_shown(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    (task,) = (CORPUS / part / ".runs").iterdir()

    assert main(["hotspots", str(task)]) == 0
    assert "waiting: before the commands" in capsys.readouterr().out.replace("waiting noop", "waiting")
