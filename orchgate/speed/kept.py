"""What `orchgate perf` and pushes keep of a measurement in the repository: its samples, and how they were judged.

The judgement is kept because the samples alone do not hold all that it rests on: which policy judged them, and for how
long a run waited for a CPU. Whoever shows the measurement later shows that judgement, and not one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
from math import isfinite

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.speed import measurements
from orchgate.verdict.values import BENCHMARK, Compared, ComparedCounter, plain, restored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.speed.measurements import Measurement
    from orchgate.verdict.values import Judgement, Policy

MOST = 50  # measurements
SAMPLES, VERDICT = ".jsonl", ".verdict.json"
_VERSION = 1
_MOST_BYTES = 4 << 20
_MOST_LINES = 200  # of what was said


class RecordedVerdict(NamedTuple):
    """A judgement as it was printed: `said` are its lines, the most important first; `limits` are signed fractions."""

    verdict: Verdict
    said: tuple[str, ...]
    results: tuple[Compared | ComparedCounter, ...]
    limits: Mapping[str, float]


def keep(common_dir: str, name: str, samples: bytes, verdict: bytes) -> str:
    """Keeps both in place of the oldest ones; where the samples are. Raises WriteError."""
    folder = os.path.join(common_dir, "orchgate", "perf")
    files.make_folders(folder)
    path = os.path.join(folder, name + SAMPLES)
    files.replace(os.path.join(folder, name + VERDICT), verdict)
    files.replace(path, samples)
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder))
        for kind in (SAMPLES, VERDICT):
            for old in [found for found in names if found.endswith(kind)][:-MOST]:
                os.unlink(os.path.join(folder, old))
    return path


def encoded(measurement: Measurement, policy: Policy) -> bytes:
    judgement = measurement.judgement
    document = {
        "kept-verdict": _VERSION,
        "verdict": judgement.verdict.value,
        "said": list(measurements.lines(measurement))[:_MOST_LINES],
        "results": [plain(one) for one in results(judgement)],
        "limits": limits(judgement, policy),
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def results(judgement: Judgement) -> list[Compared | ComparedCounter]:
    named = judgement.benchmarks.judged if judgement.benchmarks else ()
    return [*judgement.metrics, *judgement.counters, *named]


def limits(judgement: Judgement, policy: Policy) -> dict[str, float]:
    """From which change on each result is refused, downwards where less is worse."""
    found = {}
    for one in results(judgement):
        if limit := policy.metrics.get(one.name):
            found[one.name] = limit.block if limit.more_is_worse else -limit.block
    return found


def read(path: str) -> RecordedVerdict | None:
    """The judgement beside the samples at `path`; None where an earlier version kept none. Raises OrchgateError."""
    try:
        data = files.read(path.removesuffix(SAMPLES) + VERDICT, _MOST_BYTES, follow=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OrchgateError(f"its verdict cannot be read: {error.strerror or 'not a regular file'}") from error
    try:
        return _restored(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise OrchgateError("its verdict cannot be read: not what `orchgate perf` writes") from error


def _restored(document: Any) -> RecordedVerdict:
    if document["kept-verdict"] != _VERSION:
        raise OrchgateError("its verdict cannot be read: another version of orchgate wrote it")
    return RecordedVerdict(
        Verdict(document["verdict"]),
        tuple(str(line) for line in document["said"][:_MOST_LINES]),
        tuple(_checked(one) for one in document["results"]),
        {str(name): float(limit) for name, limit in document["limits"].items() if isfinite(limit)},
    )


def _checked(fields: Mapping[str, Any]) -> Compared | ComparedCounter:
    """Raises ValueError, KeyError, TypeError."""
    found = restored(fields)
    numbers: list[object] = [found.base, found.head]
    numbers += [found.estimate, found.low, found.high] if isinstance(found, Compared) else []
    if not all(one is None or (isinstance(one, int | float) and isfinite(one)) for one in numbers):
        raise ValueError
    return found._replace(name=found.name.removeprefix(BENCHMARK))
