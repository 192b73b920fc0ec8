"""This repository is held to its own gate: what it keeps of its own runs."""

from __future__ import annotations

import re
from pathlib import Path

from orchgate.config.load import load_work_tree
from orchgate.runs import pipeline, stages
from orchgate.verdict import baseline

TOP = Path(__file__).parent.parent
KEPT = [path for path in (TOP / ".orchgate").iterdir() if path.is_file()]
MACHINE = re.compile(r"[\"' ](/(?:home|root|tmp|work|Users|private|var)/|[A-Z]:\\)")


def test_what_is_kept_is_small_and_names_no_place_of_a_machine() -> None:
    assert sum(path.stat().st_size for path in KEPT) < 300_000
    assert [path.name for path in KEPT if MACHINE.search(path.read_text())] == []


def test_the_baseline_is_of_the_pipeline_that_a_push_measures() -> None:
    """`orchgate baseline record --force --reason …` after a change of the pipeline."""
    config = load_work_tree(str(TOP))
    known = pipeline.load_all(str(TOP), config)
    wanted = config.performance.pipeline

    digest = stages.pipeline_hash(known, pipeline.find(known, wanted))
    records = [one for one in baseline.load(str(TOP)).records.values() if one.pipeline == wanted]
    assert {one.pipeline_hash for one in records} == {digest}
