"""Long lines of commits with runs of each, as `orchgate run` would have recorded them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchgate.verdict.baseline import Baseline, BaselineRecord
from tests.histories import TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.repo import Repo

MACHINE, OTHER = "0123456789abcdef", "fedcba9876543210"
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def commits(repo: Repo, number: int, branch: str = "main", files: str = "work") -> list[str]:
    """So many commits on top of a branch, which is checked out, the oldest first; each changes a file."""
    tip = repo.git("rev-parse", "HEAD")
    lines = []
    for nth in range(number):
        content = f"{files} {nth}"
        lines += [
            f"commit refs/heads/{branch}",
            f"committer A <a@example.org> {1772000000 + nth} +0000",
            f"data {len(content)}\n{content}",
            *([f"from {tip}"] if not nth else []),
            f"M 100644 inline {files}.txt",
            f"data {len(content)}\n{content}",
        ]
    repo.git("fast-import", "--quiet", "--force", stdin="\n".join([*lines, ""]).encode())
    repo.git("reset", "--quiet", "--hard", branch)
    return repo.git("rev-list", "--reverse", "--first-parent", f"{tip}..{branch}").split()


def run_of(
    commit: str | None, nth: int, cpu: float, at: datetime | None = None, machine: str = MACHINE, **fields: Any
) -> dict[str, Any]:
    """A run of two stages, of which the first takes a third; the `nth` one of a history, an hour after the last."""
    began = at or START + timedelta(hours=nth)
    stages = [
        {
            "id": name,
            "status": "succeeded",
            "wall_seconds": share * 1.1,
            "user_seconds": share * 0.9,
            "system_seconds": share * 0.1,
        }
        for name, share in (("build", 0.1), ("test", cpu - 0.1))
    ]
    known = {
        "entry": 1,
        "run_id": f"{began:%Y-%m-%dT%H-%M-%S}-000Z-{nth:08x}",
        "task_id": TASK,
        "pipeline_id": "demo",
        "status": "succeeded",
        "started_at": f"{began:%Y-%m-%dT%H:%M:%S}.000Z",
        "completed_at": f"{began + timedelta(seconds=cpu * 1.1 + 1):%Y-%m-%dT%H:%M:%S}.000Z",
        "commit": commit,
        "tree": "d" * 40,
        "machine": machine,
        "wall_seconds": cpu * 1.1,
        "user_seconds": cpu * 0.9,
        "system_seconds": cpu * 0.1,
        "max_rss_bytes": 12_000_000,
        "stages": stages,
    }
    return {**known, **fields}


def noise(seed: int, number: int, spread: float = 0.01) -> list[float]:
    """Factors around one."""
    source = random.Random(seed)
    return [math.exp(source.gauss(0, spread)) for _ in range(number)]


def runs_of(
    line: Sequence[str], level: Callable[[int], float], seed: int = 1, spread: float = 0.01, **fields: Any
) -> list[dict[str, Any]]:
    """A run of each commit, that of the `nth` one at `level(nth)`."""
    factors = noise(seed, len(line), spread)
    return [
        run_of(commit, nth, level(nth) * factor, **fields)
        for nth, (commit, factor) in enumerate(zip(line, factors, strict=True))
    ]


def step(at: int, before: float = 0.3, by: float = 0.2) -> Callable[[int], float]:
    return lambda nth: before * (1 + by * (nth >= at))


def shuffled(runs: Iterable[dict[str, Any]], seed: int = 7) -> list[dict[str, Any]]:
    found = list(runs)
    random.Random(seed).shuffle(found)
    return found


def accepted(commit: str, machine: str = MACHINE, samples: Mapping[str, tuple[float, ...]] | None = None) -> Baseline:
    """The baseline of the pipeline on a class of machines."""
    usual = {"cpu_seconds": tuple(0.3 * factor for factor in noise(8, 12))}
    record = BaselineRecord(
        "demo", machine, "0" * 64, commit, "d" * 40, False, "2026-03-01T09:00:00Z", "A", "first", {}, samples or usual
    )
    return Baseline().put(record)
