"""Instructions decide what CPU time leaves open, where they can be counted."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from orchgate.model import Verdict
from orchgate.runs.stages import Stage
from orchgate.speed import paired
from orchgate.speed.sampling import Side
from orchgate.verdict import comparison
from orchgate.verdict.comparison import Instructions
from orchgate.verdict.values import KNOWN, BenchmarkJudgement, Compared, Judgement, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchgate.speed.measurements import Measurement
    from tests.repo import Repo

POLICY = Policy({metric.name: metric for metric in KNOWN[:2]})
BLOCKING = POLICY._replace(inconclusive="block")
ONLY_CPU = Policy({"cpu_seconds": KNOWN[0]})
OPEN = Compared("cpu_seconds", Verdict.INCONCLUSIVE, 0.02, -0.1, 0.1, 16, 0.3, 0.12, 1.0, 1.02, "between")
PROBABLY = OPEN._replace(verdict=Verdict.WARN, p=0.01, probably=True, pairs_missing=9)
SLOWER = OPEN._replace(verdict=Verdict.WARN, p=0.0001)
WALL = OPEN._replace(name="wall_seconds")
HINTING = WALL._replace(p=0.04)
FEW = WALL._replace(p=None)

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


def judged(*metrics: Compared) -> Judgement:
    return Judgement(Verdict.INCONCLUSIVE, metrics)


@pytest.mark.parametrize(
    ("counts", "agreed"), [((1_000_000, 1_000_900), 1_000_000), ((1_000_000, 1_002_000), None), ((5, 5), 5)]
)
def test_counts_agree_within_a_thousandth(counts: Sequence[int], agreed: int | None) -> None:
    assert comparison.agreed_count(counts) == agreed


@pytest.mark.parametrize(
    ("judgement", "asked"),
    [
        (judged(OPEN), True),
        (judged(PROBABLY), True),
        (judged(SLOWER), False),
        (judged(WALL), False),
        (judged(OPEN._replace(head_lower_bound="a child left")), False),
        (judged(OPEN)._replace(verdict=Verdict.FAIL), False),
    ],
    ids=["cannot tell", "probably slower", "slower", "only wall time is open", "a lower bound", "refused already"],
)
def test_they_are_asked_where_cpu_time_alone_is_open(judgement: Judgement, asked: bool) -> None:
    assert comparison.needs_instructions(judgement) == asked


@pytest.mark.parametrize(
    ("metrics", "policy", "head", "verdict"),
    [
        ((OPEN, WALL), POLICY, 112, Verdict.FAIL),
        ((PROBABLY, WALL), POLICY, 112, Verdict.FAIL),
        ((OPEN,), ONLY_CPU, 103, Verdict.WARN),
        ((OPEN, WALL), POLICY, 100, Verdict.PASS),
        ((PROBABLY, WALL), POLICY, 100, Verdict.PASS),
        ((OPEN, WALL), BLOCKING, 100, Verdict.INCONCLUSIVE),
        ((OPEN, HINTING), POLICY, 100, Verdict.INCONCLUSIVE),
        ((OPEN, FEW), POLICY, 100, Verdict.INCONCLUSIVE),
        ((OPEN, WALL._replace(verdict=Verdict.WARN, probably=True, p=0.01)), POLICY, 100, Verdict.WARN),
        ((OPEN, WALL._replace(name="max_rss_bytes")), POLICY, 100, Verdict.INCONCLUSIVE),
    ],
    ids=[
        "more than blocks",
        "more than blocks, probably before",
        "more than is tolerated",
        "as many",
        "as many, probably slower before",
        "as many, and what is open blocks",
        "as many, and wall time hints at more",
        "as many, and too few pairs for wall time",
        "as many, and wall time is probably longer",
        "as many, and memory is open",
    ],
)
def test_instructions_decide_cpu_time_and_nothing_else(
    metrics: tuple[Compared, ...], policy: Policy, head: int, verdict: Verdict
) -> None:
    assert comparison.with_instructions(judged(*metrics), Instructions(100, head), policy).verdict is verdict


@pytest.mark.parametrize("verdict", [Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.WARN])
def test_they_decide_nothing_of_named_benchmarks(verdict: Verdict) -> None:
    judgement = judged(OPEN)._replace(benchmarks=BenchmarkJudgement(verdict))

    assert comparison.with_instructions(judgement, Instructions(100, 100), ONLY_CPU).verdict is verdict


def test_it_is_said_that_they_decided() -> None:
    (cpu,) = comparison.with_instructions(judged(PROBABLY), Instructions(1000, 1123), ONLY_CPU).metrics

    assert (cpu.reason, cpu.probably, cpu.estimate) == ("instructions +12.3 %, counted twice", False, None)


# Counted by cachegrind


def compare(
    folder: Path, base: Sequence[str], head: Sequence[str], environ: Mapping[str, str] | None = None
) -> Measurement:
    """One pair, which tells nothing of CPU time."""
    sides = []
    for label, argv in (("base", base), ("head", head)):
        (folder / label).mkdir()
        stages = (Stage("work", "work", argv=tuple(argv)),)
        sides.append(Side(label, "1" * 40, "2" * 40, str(folder / label), str(folder / f"{label}.s"), stages))
    return paired.measure(
        (sides[0], sides[1]),
        ONLY_CPU,
        budget_seconds=600.0,
        environ=os.environ if environ is None else environ,
        most_pairs=1,
        exact=True,
    )


def not_counted(found: Measurement) -> str:
    """Why; "" where they were."""
    start = "instructions were not counted: "
    return next((note.removeprefix(start) for note in found.notes if note.startswith(start)), "")


@pytest.mark.slow
@needs_valgrind
def test_a_head_that_takes_more_instructions_is_refused(tmp_path: Path) -> None:
    found = compare(tmp_path, ["seq", "1000"], ["seq", "9000"])

    counted = found.instructions
    assert (found.judgement.verdict, counted is not None and counted.change > 1) == (Verdict.FAIL, True), found.notes


@pytest.mark.slow
@needs_valgrind
def test_a_program_whose_repeats_differ_is_not_counted(tmp_path: Path) -> None:
    loop = 'read n < n || n=100; echo $((3 * n)) > n; while [ "$n" -gt 0 ]; do n=$((n - 1)); done'

    found = compare(tmp_path, ["sh", "-c", loop], ["true"])

    assert (found.judgement.verdict, not_counted(found)[:23]) == (Verdict.INCONCLUSIVE, "two runs of base differ")


@pytest.mark.slow
@needs_valgrind
def test_a_program_that_valgrind_cannot_run_is_not_counted(tmp_path: Path) -> None:
    found = compare(tmp_path, ["sh", "-c", 'case "$LD_PRELOAD" in *vgpreload*) exit 7;; esac'], ["true"])

    assert (found.judgement.verdict, not_counted(found)) == (
        Verdict.INCONCLUSIVE,
        "stage work of base fails under valgrind (exit 7)",
    )


@pytest.mark.slow
@needs_valgrind
def test_what_starts_another_program_is_not_counted(tmp_path: Path) -> None:
    found = compare(tmp_path, ["sh", "-c", "exec true"], ["true"])

    assert (found.judgement.verdict, not_counted(found)) == (Verdict.INCONCLUSIVE, "base starts further programs")


@pytest.mark.slow
@needs_valgrind
def test_what_starts_another_process_is_not_counted(tmp_path: Path) -> None:
    found = compare(tmp_path, ["sh", "-c", "true & wait"], ["true"])

    assert (found.judgement.verdict, not_counted(found)[:21]) == (Verdict.INCONCLUSIVE, "base starts further p")


@pytest.mark.slow
def test_the_configuration_asks_for_them(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "[performance]\nexact = true\n"})

    told = repo.orchgate("perf", "--base", "HEAD", "--max-pairs", "1", "--", "sh", "-c", "true & wait")

    assert (told.code, "note: instructions were not counted: " in told.out) == (0, True), told.out


@pytest.mark.slow
def test_without_valgrind_the_verdict_stays_and_that_is_said(tmp_path: Path) -> None:
    true = shutil.which("true") or "true"

    found = compare(tmp_path, [true], [true], {"PATH": str(tmp_path)})

    assert (found.judgement.verdict, not_counted(found)) == (Verdict.INCONCLUSIVE, "valgrind is not installed")
