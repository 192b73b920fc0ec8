"""What a measurement found, or recorded samples say (`--replay`), as text for people and as JSON."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.commands.shared import durations
from orchgate.commands.shared.running import print_json
from orchgate.errors import GitError, UsageError
from orchgate.lib.text import aligned
from orchgate.measures import declared
from orchgate.model import Verdict, worst
from orchgate.outputs._escape import escape
from orchgate.speed import explanation, failures
from orchgate.speed.measurement import Stopped
from orchgate.verdict import benchmark_words, words
from orchgate.verdict.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.model import Finding
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Compared, ComparedCounter, Judgement, Pair, Policy

VERSION = 1
_WIDTH = 12  # hex digits of an id, for people
_FEW = 20  # pairs that are enough for a large change


class PerfRequest(NamedTuple):
    """What is to be compared: commits as hex ids, and where base comes from."""

    base: str
    head: str
    origin: str
    pipeline: str
    command: tuple[str, ...]

    @property
    def subject(self) -> str:
        """What runs, in a word or as a command line."""
        import shlex

        return shlex.join(self.command) if self.command else self.pipeline


class DefinitionChange(NamedTuple):
    """What is said of the definition, and the same for programs."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, object]


class PerfReport(NamedTuple):
    """All there is to show. `kept` is where the samples are (`file`), or `why` nowhere, and what compares them.

    `redefined` is what head does to the definition of the pipeline, None for a command.
    """

    asked: PerfRequest
    sides: tuple[Side, Side]
    measurement: Measurement
    reproduce: str
    kept: Mapping[str, str]
    prepare: Sequence[str]
    redefined: DefinitionChange | None = None


def exit_code(verdict: Verdict, inconclusive: str) -> int:
    """An undecided comparison is a warning, unless the policy says that it blocks."""
    if verdict is Verdict.INCONCLUSIVE and inconclusive == "warn":
        return Verdict.WARN.exit_code
    return verdict.exit_code


def as_text(shown: PerfReport, *, dirty: bool) -> None:
    sys.stdout.writelines(escape(line) + "\n" for line in _lines(shown, dirty=dirty))


def _lines(shown: PerfReport, *, dirty: bool) -> Iterator[str]:
    asked, measurement = shown.asked, shown.measurement
    yield f"{asked.subject}: base {asked.base[:_WIDTH]} ({asked.origin}), head {asked.head[:_WIDTH]}"
    yield from rows(measurement.judgement)
    first, *rest = explanation.lines(measurement)
    yield f"{measurement.judgement.verdict.value}: {first}"
    yield from (f"  {line}" for line in rest)
    if shown.redefined:
        yield from (f"  note: {one.message}" for one in shown.redefined.findings)
    if dirty:
        yield "  note: changes that are not committed were not measured"
    yield from _kept(shown.kept)
    if measurement.judgement.verdict is not Verdict.PASS:
        yield f"  hint: {hint(shown)}"


def _kept(kept: Mapping[str, str]) -> Iterator[str]:
    if kept:
        without = " (without benchmarks: too many for a line)" if "without" in kept else ""
        yield f"  samples: {kept['file']}{without}" if "file" in kept else f"  no samples kept: {kept['why']}"
    if "benchstat" in kept:
        yield f"  compare them: {kept['benchstat']}"


def hint(shown: PerfReport) -> str:
    """The next command: the same again, with the budget that it would have needed."""
    measurement = shown.measurement
    if measurement.stopped is Stopped.BUDGET and measurement.pair_seconds and "--max-time" not in shown.reproduce:
        wanting = [one for one in measurement.judgement.metrics if words.within_reach(one)]
        pairs = max([one.pairs + (one.pairs_missing or 0) for one in wanting], default=_FEW)
        needed = max(30, explanation.budget_for(measurement, pairs))
        return shown.reproduce.replace("orchgate perf", f"orchgate perf --max-time {durations.shown(needed)}", 1)
    return shown.reproduce


def rows(judgement: Judgement) -> Iterator[str]:
    """A table of what was judged."""
    table: list[tuple[str, ...]] = [("", "base", "head", "change", "interval", "")]
    table += [_compared(one) for one in judgement.metrics]
    table += [_counted(one) for one in judgement.counters]
    if len(table) == 1:
        return
    for cells in aligned(table, range(1, len(table[0]) - 1)):
        yield "  ".join(["", *cells]).rstrip()
    others = [
        f"{declared.title(one.name)} {words.percent(one.change_of_medians)}"
        for one in judgement.metrics
        if words.disagree(one)
    ]
    if others:
        yield f"  the change is estimated from pairs; the medians of base and head alone moved by: {', '.join(others)}"


def _compared(one: Compared) -> tuple[str, ...]:
    values = (words.before(one), words.after(one))
    return (declared.title(one.name), *values, words.at_least(one), words.interval(one), words.outcome(one))


def _counted(one: ComparedCounter) -> tuple[str, ...]:
    bounds = (one.base_lower_bound, one.head_lower_bound) != (None, None)
    change = words.UNKNOWN if not one.base or bounds else words.percent(one.head / one.base - 1)
    kind = words.UNKNOWN if bounds else "exact"
    return (declared.title(one.name), words.before(one), words.after(one), change, kind, one.verdict.value)


def as_json(shown: PerfReport) -> None:
    measurement = shown.measurement
    judgement = measurement.judgement
    print_json(
        {
            "version": VERSION,
            "verdict": judgement.verdict.value,
            "reason": judgement.reason or None,
            "base": {"commit": shown.asked.base, "tree": shown.sides[0].tree, "origin": shown.asked.origin},
            "head": {"commit": shown.asked.head, "tree": shown.sides[1].tree},
            "subject": shown.asked.subject,
            **judged(judgement),
            "stages": [one._asdict() for one in measurement.stages],
            "failures": [failures.as_json(one) for one in measurement.failures],
            "pairs": len(measurement.pairs),
            "stopped": measurement.stopped.value,
            "seconds": round(measurement.seconds, 3),
            "noise": measurement.noise,
            **(shown.redefined.facts if shown.redefined else {}),
            "differs": list(measurement.differs),
            "instructions": explanation.instructions(measurement),
            "environment": _environment(shown),
            "notes": [*judgement.notes, *measurement.notes],
            "samples": shown.kept.get("file"),
            "benchstat": shown.kept.get("benchstat"),
            "reproduce": shown.reproduce,
        }
    )


def judged(judgement: Judgement) -> dict[str, Any]:
    """The metrics and counters of a judgement, JSON-able."""
    return {
        "metrics": [plain(one) for one in judgement.metrics],
        "counters": [plain(one) for one in judgement.counters],
        **benchmark_words.facts(judgement.benchmarks),
    }


def _environment(shown: PerfReport) -> dict[str, Any]:
    """What the figures depend on: the machine, and how the runs were set up."""
    from orchgate import __version__
    from orchgate.runs.machine import fingerprint

    return {
        "orchgate": __version__,
        "machine": fingerprint(),
        "load": round(os.getloadavg()[0], 2),
        "pair_seconds": round(shown.measurement.pair_seconds, 6),
        "flips": shown.measurement.flips,
        "prepare": list(shown.prepare),
        "python_hash_seed": "0",
    }


def replay(path: str, output: str) -> int:
    from orchgate.verdict.comparison import judge

    held_to = _policy()
    judgements = {name: judge(pairs, held_to) for name, pairs in _streams(path).items()}
    verdict = worst(judgement.verdict for judgement in judgements.values())
    if output == "json":
        streams = [_stream(name, judgement) for name, judgement in judgements.items()]
        print_json({"version": VERSION, "verdict": verdict.value, "streams": streams})
    else:
        sys.stdout.writelines(escape(line) + "\n" for line in _replayed_lines(judgements, verdict))
    return exit_code(verdict, held_to.inconclusive)


def _streams(path: str) -> dict[str, list[Pair]]:
    from orchgate.speed.sample_files import read_streams

    if path == "-":
        return read_streams(sys.stdin.buffer)
    try:
        with open(path, "rb") as file:
            return read_streams(file)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "orchgate perf --replay FILE") from error


def _policy() -> Policy:
    """What the configuration here says; the defaults outside of a repository."""
    from orchgate.commands.shared.running import here, root
    from orchgate.config.load import load_work_tree
    from orchgate.verdict.values import policy

    try:
        top = root()
    except GitError:  # a bare repository, or one that git refuses: samples can be judged without
        top = here()
    config = load_work_tree(top)
    held_to = policy(config.performance, undecided_blocks=config.undecided_blocks)
    return held_to._replace(benchmarks=held_to.benchmarks._replace(required=False))  # older samples hold none


def _stream(name: str, judgement: Judgement) -> dict[str, object]:
    return {
        "stream": name,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason or None,
        **judged(judgement),
        "notes": list(judgement.notes),
    }


def _replayed_lines(judgements: Mapping[str, Judgement], verdict: Verdict) -> Iterator[str]:
    for name, judgement in judgements.items():
        deciding = (*words.headlines(judgement), *benchmark_words.headlines(judgement))
        said = (*deciding, *words.milder(judgement), *benchmark_words.lines(judgement))
        first, *rest = [*said, *(f"note: {note}" for note in judgement.notes)] or [""]
        yield f"{name}: {judgement.verdict.value}: {first}"
        yield from (f"  {line}" for line in rest)
        if len(judgements) == 1:
            yield from rows(judgement)
    if len(judgements) > 1:
        counts = [sum(one.verdict is kind for one in judgements.values()) for kind in Verdict]
        told = ", ".join(f"{count} {kind.value}" for kind, count in zip(Verdict, counts, strict=True) if count)
        yield f"{verdict.value}: {len(judgements)} streams: {told}"
