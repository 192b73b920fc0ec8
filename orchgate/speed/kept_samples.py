"""Raw samples of measurements as JSON Lines, in the form that `metrics.replay` reads; the last ones are kept."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from orchgate.lib import files
from orchgate.verdict.replay import MAX_LINE
from orchgate.verdict.values import BENCHMARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.speed.measurement import Measurement
    from orchgate.speed.sampling import Side

MOST_KEPT = 50  # measurements
LONGEST = MAX_LINE - 1  # bytes of a line; where stages make it longer it goes without them, and so with benchmarks
LEFT_OUT = "left_out"
_STAGE = ("cpu_seconds", "wall_seconds", "max_rss_bytes")


def encoded(stream: str, sides: tuple[Side, Side], measurement: Measurement) -> bytes:
    """One line for each run that was judged."""
    return b"".join(_lines(stream, sides, measurement))


def _lines(stream: str, sides: tuple[Side, Side], measurement: Measurement) -> Iterator[bytes]:
    import json

    for number, (pair, samples) in enumerate(zip(measurement.pairs, measurement.samples, strict=True)):
        for arm in (1, 0) if pair.head_first else (0, 1):
            side, ran = sides[arm], samples[arm]
            line = {"stream": stream, "pair": number, "arm": side.label, "order": arm ^ pair.head_first}
            line |= {"metrics": dict((pair.base, pair.head)[arm]), "commit": side.commit, "tree": side.tree}
            line |= {"lower_bounds": dict(ran.lower_bounds)} if ran.lower_bounds else {}
            line |= {"unread": dict(ran.unread)} if ran.unread else {}
            stages = {name: {key: cost[key] for key in _STAGE if key in cost} for name, cost in ran.stages.items()}
            whole = json.dumps({**line, "stages": stages}, separators=(",", ":")).encode("ascii")
            if len(whole) > LONGEST:
                whole = json.dumps(line, separators=(",", ":")).encode("ascii")
            if len(whole) > LONGEST:
                whole = json.dumps(_without_benchmarks(line), separators=(",", ":")).encode("ascii")
            yield whole + b"\n"


def _without_benchmarks(line: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in line["metrics"].items() if not name.startswith(BENCHMARK)}
    gone = len(line["metrics"]) - len(metrics)
    return {**line, "metrics": metrics, "unread": {}, LEFT_OUT: f"{gone} benchmarks, longer than {LONGEST} bytes"}


def keep(common_dir: str, name: str, content: bytes) -> str:
    """Keeps samples in the repository's own folder, in place of the oldest ones. Raises WriteError."""
    folder = os.path.join(common_dir, "orchgate", "perf")
    files.make_folders(folder)
    path = os.path.join(folder, f"{name}.jsonl")
    files.replace(path, content)
    with contextlib.suppress(OSError):
        for old in sorted(found for found in os.listdir(folder) if found.endswith(".jsonl"))[:-MOST_KEPT]:
            os.unlink(os.path.join(folder, old))
    return path
