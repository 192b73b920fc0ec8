"""Before and after: measurements of `orchgate perf` that this clone keeps, and each baseline against the runs since."""

from __future__ import annotations

import contextlib
import json
import os

from orchgate.errors import OrchgateError
from orchgate.evidence.lock import Lock
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.report.values import BeforeAfter, ChangeRow, ReadProblem, Samples
from orchgate.verdict import words
from orchgate.verdict.values import BENCHMARK, Compared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.evidence.facts import CitedRuns
    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.report.values import RunRow, TaskState
    from orchgate.speed.kept import RecordedVerdict
    from orchgate.verdict.baseline import Baseline, BaselineRecord
    from orchgate.verdict.values import ComparedCounter, Judgement, Pair, Policy

MEASUREMENTS = 3  # of those that are kept, the newest
MOST_BYTES = 4 << 20  # of one
SINCE = 50  # runs that are held against a baseline
ROWS = 24  # of one comparison
SAMPLED = ("cpu_seconds", "wall_seconds", "max_rss_bytes")  # whose samples are drawn
_SHORT = 12
ANEW = "judged just now, as a replay is: how it was judged then was not kept"
NO_VERDICT = "no verdict: other days change times, too; `orchgate perf` measures in turn, and judges"


def measured(folder: str, policy: Policy) -> tuple[list[BeforeAfter], list[ReadProblem]]:
    """What `orchgate perf` measured last, as it was judged then, newest first; `policy` judges what has no verdict."""
    found: list[BeforeAfter] = []
    problems: list[ReadProblem] = []
    try:
        names = sorted((name for name in os.listdir(folder) if name.endswith(".jsonl")), reverse=True)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [ReadProblem("samples-unreadable", f"the kept measurements cannot be listed: {error.strerror}")]
    for name in names[:MEASUREMENTS]:
        try:
            found += _of_file(os.path.join(folder, name), name, policy)
        except OSError as error:
            problems.append(ReadProblem("samples-unreadable", f"measurement {name} cannot be read: {error.strerror}"))
        except OrchgateError as error:
            problems.append(ReadProblem("samples-unreadable", f"measurement {name}: {error.message}"))
    return found, problems


def _of_file(path: str, name: str, policy: Policy) -> Iterator[BeforeAfter]:
    """What `orchgate perf` said of a measurement; of one of which that was not kept what `--replay` says.

    Raises OrchgateError, OSError.
    """
    from orchgate.speed import kept
    from orchgate.speed.kept import read_streams
    from orchgate.verdict.comparison import judge

    lines = files.read(path, MOST_BYTES, follow=False).split(b"\n")
    at = f"{name[:10]}T{name[11:19].replace('-', ':')}Z"
    recorded, commits = kept.read(path), _commits(lines)
    for stream, pairs in read_streams(lines).items():
        said = recorded or _anew(judge(pairs, policy), policy)
        yield _comparison(stream, at, commits, pairs, said)


def _anew(judgement: Judgement, policy: Policy) -> RecordedVerdict:
    from orchgate.speed import kept

    said = ("; ".join([next(words.headlines(judgement), ""), ANEW]),)
    return kept.RecordedVerdict(judgement.verdict, said, tuple(kept.results(judgement)), kept.limits(judgement, policy))


def _commits(lines: Iterable[bytes]) -> Mapping[str, str]:
    """The commit of each side, as the first lines say it; the samples themselves have been checked by then, or will."""
    found: dict[str, str] = {}
    for line in lines:
        try:
            value = json.loads(line)
            found.setdefault(str(value["arm"]), str(value.get("commit") or "")[:_SHORT])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            break
        if len(found) > 1:
            break
    return found


def _comparison(
    subject: str, at: str, commits: Mapping[str, str], pairs: Sequence[Pair], said: RecordedVerdict
) -> BeforeAfter:
    sides: list[dict[str, list[float]]] = [{name: [] for name in SAMPLED}, {name: [] for name in SAMPLED}]
    for name in SAMPLED:
        for pair in pairs:
            if name in pair.base and name in pair.head:
                sides[0][name].append(pair.base[name])
                sides[1][name].append(pair.head[name])
    before, after = (commits.get(side, "") or side for side in ("base", "head"))
    return BeforeAfter(
        "perf",
        subject,
        "",
        at,
        f"base {before}" if before != "base" else before,
        f"head {after}" if after != "head" else after,
        len(pairs),
        len(pairs),
        said.verdict.value,
        next(iter(said.said), ""),
        tuple(_judged(one, said.limits.get(one.name)) for one in said.results[:ROWS]),
        _samples({one.name: one.verdict.value for one in said.results}, *sides, paired=True),
    )


def since_baseline(baseline: Baseline, rows: Iterable[RunRow], policy: Policy) -> Iterator[BeforeAfter]:
    """Each baseline against the newest runs of its pipeline and machine type that succeeded after it was recorded."""
    listed = list(rows)
    for record in baseline.records.values():
        runs = [
            row
            for row in listed
            if (row.pipeline_id, row.machine_id) == record.place
            and row.succeeded
            and not (row.cached or row.flaky or row.replays)
            and row.started_at > record.recorded_at
            and row.run_id not in record.run_ids
        ][:SINCE]
        if runs:
            yield _against(record, runs, policy)


def _against(record: BaselineRecord, runs: Sequence[RunRow], policy: Policy) -> BeforeAfter:
    from orchgate.speed import kept
    from orchgate.verdict.stored import judge_stored

    known = {name for run in runs for name in run.metrics}
    whole = [name for name in sorted(known) if all(name in run.metrics for run in runs) and name in record.samples]
    base = {name: record.samples[name] for name in whole}
    head = {name: tuple(run.metrics[name] for run in reversed(runs)) for name in whole}
    judgement = judge_stored(base, head, policy)
    limits = kept.limits(judgement, policy)
    return BeforeAfter(
        "baseline",
        record.pipeline,
        record.fingerprint,
        record.recorded_at,
        f"baseline of {record.recorded_at[:10]}",
        "runs since",
        record.runs,
        len(runs),
        None,
        judgement.reason or NO_VERDICT,
        tuple(_moved(one, limits.get(one.name)) for one in kept.results(judgement)[:ROWS]),
        _samples({}, base, head, paired=False),
    )


def claimed(ctx: Context, tasks: Iterable[TaskState]) -> Iterator[BeforeAfter]:
    """The tables of `evidence summarize` in documents, worked out anew from their runs.

    Those that cannot be are left out: the evidence check says why.
    """
    from orchgate.evidence.facts import CitedRuns

    try:
        runs = CitedRuns(ctx.snapshot, ctx.artifacts, ctx.config.manifests.max_bytes, ctx.lock)
    except OrchgateError:
        return
    for task in tasks:
        for path in task.documents.values():
            with contextlib.suppress(OrchgateError):
                yield from _of_document(ctx, ctx.documents.one(path), runs, task.task_id)


def _of_document(ctx: Context, document: Document, runs: CitedRuns, task: str) -> Iterator[BeforeAfter]:
    """Raises OrchgateError."""
    from orchgate.evidence.summary import VERSIONS, Block, blocks, recorded
    from orchgate.verdict import before_after

    comments = {comment.offset for comment in document.comments}
    for block in blocks(document.text):
        if not isinstance(block, Block) or block.start not in comments or block.version not in VERSIONS:
            continue
        held = ctx.lock or Lock()
        cited = (*block.before, *block.after)
        if not all(ctx.artifacts.owns(path) and (path in held.pins or ctx.artifacts.on_disk(path)) for path in cited):
            continue
        before, after = (
            [recorded(runs.facts(path), block.version) for path in side] for side in (block.before, block.after)
        )
        rows = (
            ChangeRow(one.metric, one.before, one.after, one.change, one.low, one.high, None, None, "")
            for one in before_after.rows(before, after)
        )
        yield BeforeAfter(
            "document",
            block.pipeline,
            "",
            "",
            "before",
            "after",
            len(before),
            len(after),
            None,
            f"in {document.path}, of task {task}",
            tuple(rows),
            (),
        )


def _judged(one: Compared | ComparedCounter, limit: float | None) -> ChangeRow:
    """A result with the words of whoever judged it."""
    outcome = words.outcome(one) if isinstance(one, Compared) else one.verdict.value
    return _row(one, limit, one.verdict.value, outcome)


def _moved(one: Compared | ComparedCounter, limit: float | None) -> ChangeRow:
    """A result that is nobody's verdict: where its interval is."""
    row = _row(one, limit, None, "")
    low, high = (row.low, row.high) if isinstance(one, Compared) else (row.change, row.change)
    if low is None or high is None:
        return row._replace(outcome="not known")
    sign = -1.0 if limit is not None and limit < 0 else 1.0
    worst_sure = min(sign * low, sign * high)
    if limit is not None and abs(limit) < worst_sure:
        return row._replace(outcome="beyond the limit of a push")
    return row._replace(outcome="higher" if low > 0 else "lower" if high < 0 else "no clear change")


def _row(one: Compared | ComparedCounter, limit: float | None, verdict: str | None, outcome: str) -> ChangeRow:
    if isinstance(one, Compared):
        change = one.estimate, one.low, one.high
    else:
        change = one.head / one.base - 1 if one.base else 0.0 if one.base == one.head else None, None, None
    return ChangeRow(one.name.removeprefix(BENCHMARK), one.base, one.head, *change, limit, verdict, outcome)


def _samples(
    verdicts: Mapping[str, str],
    before: Mapping[str, Sequence[float]],
    after: Mapping[str, Sequence[float]],
    *,
    paired: bool,
) -> tuple[Samples, ...]:
    return tuple(
        Samples(name, verdicts.get(name, Verdict.INCONCLUSIVE.value), tuple(before[name]), tuple(after[name]), paired)
        for name in SAMPLED
        if before.get(name) and after.get(name)
    )
