"""What a measurement found, or recorded samples say (`--replay`), as text for people and as JSON."""

from __future__ import annotations

import os
import sys

from orchgate.commands.perf import table
from orchgate.commands.shared import options, screen
from orchgate.errors import GitError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict, worst
from orchgate.outputs import _document
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape
from orchgate.speed import measurements
from orchgate.speed.measurements import Stopped
from orchgate.verdict import reported_benchmarks, words
from orchgate.verdict.values import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from orchgate.commands.shared.delivery import Own
    from orchgate.commands.shared.screen import Screen
    from orchgate.config.settings import Config, Performance
    from orchgate.git.repository import Repository
    from orchgate.model import Finding
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Judgement, Pair, Policy

    Answer = tuple[tuple[Side, Side], Measurement, "DefinitionChange | None"]

VERSION = 1
_WIDTH = 12  # hex digits of an id, for people
_PASTED = ("hint:", "samples:", "compare them:")  # how lines begin that hold a command or a path
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


class Question(NamedTuple):
    """What is to be compared, by which configuration and limits; `change` is head's of the pipeline, if one runs."""

    args: argparse.Namespace
    asked: PerfRequest
    config: Config
    held_to: Policy
    change: PipelineChange | None


class PerfReport(NamedTuple):
    """All there is to show. `kept` is where the samples are (`file`), or `why` nowhere, and what compares them.

    `redefined` is what head does to the definition of the pipeline, None for a command. `policy` has the limits.
    """

    asked: PerfRequest
    sides: tuple[Side, Side]
    measurement: Measurement
    reproduce: str
    kept: Mapping[str, str]
    prepare: Sequence[str]
    redefined: DefinitionChange | None = None
    policy: Policy | None = None


def exit_code(verdict: Verdict, inconclusive: str) -> int:
    """An undecided comparison is a warning, unless the policy says that it blocks."""
    if verdict is Verdict.INCONCLUSIVE and inconclusive == "warn":
        return Verdict.WARN.exit_code
    return verdict.exit_code


def forms(shown: PerfReport, *, dirty: bool) -> Own:
    """How a measurement is written as text and as JSON. `dirty`: the work tree holds changes that were not measured."""
    return {
        "text": lambda stream: as_text(shown, dirty=dirty, stream=stream),
        "json": lambda stream: _document.write(as_json(shown), stream),
    }


def as_text(shown: PerfReport, *, dirty: bool, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    seen = _screen(stream)
    _print(_lines(shown, seen, dirty=dirty), seen, stream)


def _screen(stream: TextIO) -> Screen:
    """A file is as wide as its lines, whatever the terminal is."""
    return screen.here() if stream is sys.stdout else screen.PLAIN


def _print(lines: Iterable[str], seen: Screen, stream: TextIO) -> None:
    for line in map(escape, lines):
        # What is to be pasted stays whole.
        width = None if line.lstrip().startswith(_PASTED) else seen.width
        stream.writelines(part + "\n" for part in screen.wrapped(line, width, 4))


def _lines(shown: PerfReport, seen: Screen, *, dirty: bool) -> Iterator[str]:
    asked, measurement = shown.asked, shown.measurement
    yield f"{asked.subject}: base {asked.base[:_WIDTH]} ({asked.origin}), head {asked.head[:_WIDTH]}"
    yield from table.rows(measurement.judgement, shown.policy, seen)
    first, *rest = measurements.lines(measurement)
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
    """The next command: what fails on both sides; else the same again, with the budget that it would have needed."""
    measurement = shown.measurement
    both = len({one.side for one in measurement.failures}) > 1
    if both and (failing := measurements.command(shown.sides[1].stages, measurement.failures[-1])):
        return failing
    if measurement.stopped is Stopped.BUDGET and measurement.pair_seconds and "--max-time" not in shown.reproduce:
        wanting = [one for one in measurement.judgement.metrics if words.within_reach(one)]
        pairs = max([one.pairs + (one.pairs_missing or 0) for one in wanting], default=_FEW)
        needed = max(30, measurements.budget_for(measurement, pairs))
        return shown.reproduce.replace("orchgate perf", f"orchgate perf --max-time {options.duration_text(needed)}", 1)
    return shown.reproduce


def as_json(shown: PerfReport) -> dict[str, object]:
    measurement = shown.measurement
    judgement = measurement.judgement
    return headed(
        "perf",
        {
            "verdict": judgement.verdict.value,
            "reason": judgement.reason or None,
            "base": {"commit": shown.asked.base, "tree": shown.sides[0].tree, "origin": shown.asked.origin},
            "head": {"commit": shown.asked.head, "tree": shown.sides[1].tree},
            "subject": shown.asked.subject,
            **judged(judgement),
            "stages": [one._asdict() for one in measurement.stages],
            "failures": [measurements.as_json(one) for one in measurement.failures],
            "pairs": len(measurement.pairs),
            "stopped": measurement.stopped.value,
            "seconds": round(measurement.seconds, 3),
            "noise": measurement.noise,
            **(shown.redefined.facts if shown.redefined else {}),
            "differs": list(measurement.differs),
            "instructions": measurements.instructions(measurement),
            "environment": _environment(shown),
            "ran_on": _ran_on(measurement),
            "notes": [*judgement.notes, *measurement.notes],
            "samples": shown.kept.get("file"),
            "benchstat": shown.kept.get("benchstat"),
            "reproduce": shown.reproduce,
        },
        VERSION,
    )


def judged(judgement: Judgement) -> dict[str, object]:
    """The metrics and counters of a judgement, JSON-able."""
    return {
        "metrics": [plain(one) for one in judgement.metrics],
        "counters": [plain(one) for one in judgement.counters],
        **reported_benchmarks.facts(judgement.benchmarks),
    }


def _ran_on(measurement: Measurement) -> dict[str, object] | None:
    """Where pairs ran that were given to workers; nothing of it names a machine."""
    where = measurement.ran_on
    if where is None:
        return None
    return {
        "machine_class": where.machine.get("fingerprint"),
        "machines": [{"pair_count": pairs} for pairs in where.pairs],
        "worker_count": where.workers,
        "left_out": list(where.left_out),
    }


def _environment(shown: PerfReport) -> dict[str, object]:
    """What the figures depend on: the machine, and how the runs were set up."""
    from orchgate import __version__
    from orchgate.runs.machine import fingerprint

    return {
        "orchgate": __version__,
        "machine": (shown.measurement.ran_on.machine if shown.measurement.ran_on else None) or fingerprint(),
        "load": round(os.getloadavg()[0], 2),
        "pair_seconds": round(shown.measurement.pair_seconds, 6),
        "flips": shown.measurement.flips,
        "prepare": list(shown.prepare),
        "python_hash_seed": "0",
    }


class JudgedSamples(NamedTuple):
    """Recorded samples as they were judged, stream by stream, by which policy, and how that is written."""

    judgements: Mapping[str, Judgement]
    held_to: Policy
    own: Own

    @property
    def verdict(self) -> Verdict:
        return worst(judgement.verdict for judgement in self.judgements.values())


def replayed(path: str) -> JudgedSamples:
    from orchgate.verdict.comparison import judge

    held_to = _policy()
    found = JudgedSamples({name: judge(pairs, held_to) for name, pairs in _streams(path).items()}, held_to, {})

    def as_lines(stream: TextIO) -> None:
        seen = _screen(stream)
        _print(_replayed_lines(found.judgements, found.verdict, held_to, seen), seen, stream)

    def as_document(stream: TextIO) -> None:
        streams = [_stream(name, judgement) for name, judgement in found.judgements.items()]
        _document.write(headed("perf", {"verdict": found.verdict.value, "streams": streams}, VERSION), stream)

    return found._replace(own={"text": as_lines, "json": as_document})


def _streams(path: str) -> dict[str, list[Pair]]:
    from orchgate.speed.kept import read_streams

    if path == "-":
        return read_streams(sys.stdin.buffer)
    try:
        with open(path, "rb") as file:
            return read_streams(file)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", "orchgate perf --replay FILE") from error


def _policy() -> Policy:
    """What the configuration here says; the defaults outside of a repository."""
    from orchgate.commands.shared.work_tree import here, root
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


def _replayed_lines(
    judgements: Mapping[str, Judgement], verdict: Verdict, policy: Policy, seen: Screen
) -> Iterator[str]:
    for name, judgement in judgements.items():
        deciding = (*words.headlines(judgement), *reported_benchmarks.headlines(judgement))
        lines = (*deciding, *words.milder(judgement), *reported_benchmarks.lines(judgement))
        first, *rest = [*lines, *(f"note: {note}" for note in judgement.notes)] or [""]
        yield f"{name}: {judgement.verdict.value}: {first}"
        yield from (f"  {line}" for line in rest)
        if len(judgements) == 1:
            yield from table.rows(judgement, policy, seen)
    if len(judgements) > 1:
        counts = [sum(one.verdict is kind for one in judgements.values()) for kind in Verdict]
        summary = ", ".join(f"{count} {kind.value}" for kind, count in zip(Verdict, counts, strict=True) if count)
        yield f"{verdict.value}: {len(judgements)} streams: {summary}"


# What head does to the definition of the pipeline, which is base's for both sides


def change(repository: Repository, asked: PerfRequest, config: Config) -> PipelineChange | None:
    """What head does to the pipeline; None where only head defines it.

    Raises ConfigError where neither side does, base's cannot be run, or head's configuration cannot be read.
    """
    from orchgate.speed import definition

    try:
        return definition.between(repository, asked.base, asked.head, asked.pipeline, config)
    except definition.NoPipeline as error:
        try:
            definition.read(repository, asked.head, asked.pipeline, "head")
        except definition.NoPipeline:
            raise error from None
        return None


def redefined(
    repository: Repository, asked: PerfRequest, performance: Performance, found: PipelineChange, seconds: float
) -> DefinitionChange:
    """That in words; stages that head adds are run for what they cost, `seconds` being left."""
    from orchgate.speed import definition, work_trees

    costs = work_trees.added_costs(
        repository,
        asked.head,
        found,
        environ=os.environ,
        prepare=performance.setup,
        seconds=max(seconds, work_trees.SHARE * performance.max_seconds),
    )
    return DefinitionChange(definition.findings(found, costs), definition.facts(found, costs))


def with_differences(
    repository: Repository,
    asked: PerfRequest,
    sides: tuple[Side, Side],
    measurement: Measurement,
    found: PipelineChange | None,
) -> Measurement:
    """With what else than the code differs, where it may explain what was measured."""
    from orchgate.speed import work_trees

    if measurement.judgement.verdict is Verdict.PASS:
        return measurement
    variables = found.variables if found else ()
    differs = work_trees.differences(repository, sides, os.environ, pipeline=asked.pipeline, variables=variables)
    return measurement._replace(differs=differs)


def limits_note(repository: Repository, config: Config) -> tuple[str, ...]:
    """A line where the work tree's limits are other ones than those that judged, which are base's."""
    from orchgate.config.load import load_work_tree
    from orchgate.errors import ConfigError

    try:
        here = load_work_tree(repository.root) if repository.root else config
    except ConfigError:
        return ("the configuration of this work tree cannot be read: base's was used",)
    same = (here.performance, here.undecided_blocks) == (config.performance, config.undecided_blocks)
    return () if same else ("[performance] of this work tree differs from base's, which was used",)


def introduced(repository: Repository, asked: PerfRequest, reproduce: str) -> PerfReport:
    """There is nothing to compare a new pipeline with, which is no reason to refuse it."""
    from orchgate.speed import definition
    from orchgate.speed.measurements import Measurement, Stopped
    from orchgate.speed.push.gate import tree_of
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Judgement

    judgement = Judgement(Verdict.INCONCLUSIVE, decided=True, reason=definition.introduced(asked.pipeline).message)
    base, head = (
        Side(label, commit, tree_of(repository, commit), "", "", ())
        for label, commit in (("base", asked.base), ("head", asked.head))
    )
    measurement = Measurement((), (), judgement, (), (), Stopped.DECIDED, 0.0, 0.0, None, "")
    facts = {"definition": {"changed": [f"introduces pipeline {asked.pipeline}"], "added": []}}
    return PerfReport(asked, (base, head), measurement, reproduce, {}, (), DefinitionChange((), facts))
