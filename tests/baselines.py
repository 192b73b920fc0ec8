"""Records of made-up measurements."""

from __future__ import annotations

from typing import Any

from orchgate.verdict.baseline import BaselineRecord

HERE = "0123456789abcdef"
THERE = "fedcba9876543210"
DAY = 86400.0


def record(pipeline: str = "demo", fingerprint: str = HERE, **changes: Any) -> BaselineRecord:
    made = BaselineRecord(
        pipeline=pipeline,
        fingerprint=fingerprint,
        pipeline_hash="a" * 64,
        commit="b" * 40,
        tree="c" * 40,
        dirty=False,
        recorded_at="2026-03-01T12:00:00.000Z",
        recorded_by="Ada <ada@example.org>",
        reason="first baseline",
        machine={"cores": 2, "cpu_model": "Made up"},
        samples={
            "cpu_seconds": (0.1, 0.11, 0.12, 0.1, 0.11, 0.12, 0.1, 0.11, 0.12, 0.1),
            "manifest_writes": (2,) * 10,
        },
    )
    return made._replace(**changes)
