"""`orchgate perf --replay`: judges recorded samples with the same code as live ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchgate.commands.perf import report
from orchgate.commands.shared.running import print_json
from orchgate.errors import GitError, UsageError
from orchgate.model import Verdict, worst
from orchgate.outputs._escape import escape
from orchgate.verdict import benchmark_words, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.verdict.values import Judgement, Pair, Policy


def run(path: str, output: str) -> int:
    from orchgate.verdict.comparison import judge

    held_to = _policy()
    judgements = {name: judge(pairs, held_to) for name, pairs in _streams(path).items()}
    verdict = worst(judgement.verdict for judgement in judgements.values())
    if output == "json":
        streams = [_stream(name, judgement) for name, judgement in judgements.items()]
        print_json({"version": report.VERSION, "verdict": verdict.value, "streams": streams})
    else:
        sys.stdout.writelines(escape(line) + "\n" for line in _lines(judgements, verdict))
    return report.exit_code(verdict, held_to.inconclusive)


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
    held_to = policy(load_work_tree(top).performance)
    return held_to._replace(benchmarks=held_to.benchmarks._replace(required=False))  # older samples hold none


def _stream(name: str, judgement: Judgement) -> dict[str, object]:
    return {
        "stream": name,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason or None,
        **report.judged(judgement),
        "notes": list(judgement.notes),
    }


def _lines(judgements: Mapping[str, Judgement], verdict: Verdict) -> Iterator[str]:
    for name, judgement in judgements.items():
        deciding = (*words.headlines(judgement), *benchmark_words.headlines(judgement))
        said = (*deciding, *words.milder(judgement), *benchmark_words.lines(judgement))
        first, *rest = [*said, *(f"note: {note}" for note in judgement.notes)] or [""]
        yield f"{name}: {judgement.verdict.value}: {first}"
        yield from (f"  {line}" for line in rest)
        if len(judgements) == 1:
            yield from report.rows(judgement)
    if len(judgements) > 1:
        counts = [sum(one.verdict is kind for one in judgements.values()) for kind in Verdict]
        told = ", ".join(f"{count} {kind.value}" for kind, count in zip(Verdict, counts, strict=True) if count)
        yield f"{verdict.value}: {len(judgements)} streams: {told}"
