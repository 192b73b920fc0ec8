"""What `orchgate evidence replay` says of each run: for people line by line, for programs as one document."""

from __future__ import annotations

import sys
from collections import Counter

from orchgate.commands.shared import screen, work_tree
from orchgate.lib.text import counted, short_seconds
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import worst
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape
from orchgate.replay import comparison
from orchgate.replay.comparison import ReplayVerdict, Weight
from orchgate.tools import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.replay.again import ReplayOutcome
    from orchgate.replay.comparison import Difference
    from orchgate.replay.recorded import ReplayableRun
    from orchgate.runs.run import Run

    Outcomes = Sequence[tuple[str, ReplayOutcome]]

VERSION = 1
_SHOWN = 20  # differences of a run; the JSON document has all
_HEAVY_FIRST = (Weight.CONTRADICTS, Weight.HINDERS, Weight.NOTED)


class Cited(NamedTuple):
    """The runs that are meant, by the repository paths of their manifests, and what chose them, in words.

    `policy` is that of the base where it was asked, `seed` what its sample was drawn by, `cited` how many there were.
    """

    manifests: tuple[str, ...]
    words: str = ""
    policy: str = ""
    seed: str = ""
    cited: int = 0


def before(recorded: ReplayableRun) -> Iterator[str]:
    """What is about to run."""
    git, run = recorded.git, recorded.run
    beside = len(git.changed or {}) + len(git.untracked or {})
    more = f" with {counted(beside, 'uncommitted file')}" if beside else ""
    yield f"replaying {run.run_id}: {run.pipeline_id} at {(git.commit or '')[:12]}{more}"


def show(root: str, path: str, outcome: ReplayOutcome, output_format: str) -> None:
    if output_format == "text":
        width = screen.here().width
        wrapped = (part for line in lines(root, path, outcome) for part in screen.wrapped(escape(line), width, 4))
        sys.stdout.writelines(f"{part}\n" for part in wrapped)
        sys.stdout.flush()


def lines(root: str, path: str, outcome: ReplayOutcome) -> Iterator[str]:
    run, verdict = outcome.run, outcome.verdict.value
    name = f"{run.run_id} {run.pipeline_id}" if run else path
    yield f"{verdict}: {name}" + (f": {outcome.reason}" if outcome.reason else f", {_result(outcome)}")
    ordered = sorted(outcome.differences, key=lambda one: _HEAVY_FIRST.index(one.weight))
    yield from (f"  {_difference(one)}" for one in ordered[:_SHOWN])
    if len(ordered) > _SHOWN:
        yield f"  and {len(ordered) - _SHOWN} more differences; --output-format json has all"
    if run and outcome.replayed:
        yield f"  time: {_times(run, outcome.replayed)}"
        other = comparison.machine_differences(run.machine, outcome.replayed[0].machine)
        if other:
            yield f"  another machine: {'; '.join(other)}"
        if tools := _other_tools(run, outcome.replayed):
            yield f"  other tools: {differences.sentence(tools)}"
        if run.hosted and (other or tools or outcome.differences):
            yield f"  recorded in {run.hosted.platform}: {run.hosted.address}"
    yield from (f"  note: {one}" for one in outcome.notes)
    yield from (f"  manifest: {work_tree.inside(root, one.path)}" for one in outcome.replayed)
    if hint := outcome.hint or _advice(outcome):
        yield f"  hint: {hint}"


def _result(outcome: ReplayOutcome) -> str:
    run = outcome.run
    assert run is not None
    done = Counter(stage.status for stage in run.stages)
    parts = [f"{count} {'stage' if count == 1 else 'stages'} {status}" for status, count in done.items()]
    tests = f"; tests: {comparison.counts(run.tests)}" if run.tests else ""
    return f"recorded as {run.status} ({', '.join(parts)}{tests})"


def _difference(one: Difference) -> str:
    what = f"stage {one.stage}: {one.what}" if one.stage else one.what
    why = f" ({one.why})" if one.why else ""
    return f"{what}: recorded {one.recorded}, now {one.now}{why}"


def _times(run: Run, replayed: Sequence[Run]) -> str:
    recorded = run.usage.wall_seconds if run.usage else None
    now = [one.usage.wall_seconds for one in replayed if one.usage and one.usage.wall_seconds is not None]
    cached = ", partly from the cache" if any(stage.cached for stage in run.stages) else ""
    shown = " to ".join(dict.fromkeys(short_seconds(one) for one in (min(now), max(now)))) if now else "unknown"
    return f"recorded {short_seconds(recorded) if recorded is not None else 'unknown'}{cached}, now {shown}"


def _other_tools(run: Run, replayed: Sequence[Run]) -> tuple[str, ...]:
    """The tools that are other ones than when the run was recorded, as far as both say."""
    return differences.differences(run.tools, replayed[0].tools) if replayed else ()


def _advice(outcome: ReplayOutcome) -> str:
    found = outcome.differences
    if outcome.verdict is not ReplayVerdict.CONTRADICTED and any("its program" in one.why for one in found):
        return "performance.setup in orchgate.toml is run before, and can install what the stages need"
    if any(one.what == "status" and one.weight is Weight.CONTRADICTS for one in found):
        return "if the stage needs files that git ignores, say in performance.setup how they are made"
    return ""


def summary(cited: Cited, outcomes: Outcomes) -> str:
    """One line about all runs."""
    if not outcomes:
        return (
            f"nothing to replay: {cited.words or 'no run is cited'}"
            if cited.policy == "never"
            else (f"nothing to replay: no run is {cited.words}" if cited.words else "nothing to replay")
        )
    found = Counter(outcome.verdict for _, outcome in outcomes)
    parts = [f"{found[one]} {one.value}" for one in ReplayVerdict if found[one]]
    return f"{counted(len(outcomes), 'run')}{f' {cited.words}' if cited.words else ''}: {', '.join(parts)}"


def document(root: str, cited: Cited, outcomes: Outcomes) -> dict[str, object]:
    verdicts = [outcome.verdict for _, outcome in outcomes]
    gate = worst(one.verdict for one in verdicts)
    facts = {
        "verdict": next((one.value for one in ReplayVerdict if one in verdicts and one.verdict is gate), None),
        "policy": cited.policy or None,
        "seed": cited.seed or None,
        "cited_count": cited.cited or len(cited.manifests),
        "run_count": len(outcomes),
        "runs": [_row(root, path, outcome) for path, outcome in outcomes],
    }
    return headed("evidence-replay", facts, VERSION)


def _row(root: str, path: str, outcome: ReplayOutcome) -> dict[str, object]:
    run = outcome.run
    git = run.git if run else None
    first = outcome.replayed[0] if outcome.replayed else None
    return {
        "manifest_path": path,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason or None,
        "hint": outcome.hint or _advice(outcome) or None,
        "run_id": run.run_id if run else None,
        "task_id": run.task_id if run else None,
        "pipeline_id": run.pipeline_id if run else None,
        "status": run.status if run else None,
        "commit": git.commit if git else None,
        "tree": git.tree if git else None,
        "wall_seconds": run.usage.wall_seconds if run and run.usage else None,
        "replays": [
            {
                "run_id": one.run_id,
                "manifest_path": work_tree.inside(root, one.path),
                "status": one.status,
                "wall_seconds": one.usage.wall_seconds if one.usage else None,
            }
            for one in outcome.replayed
        ],
        "differences": [_fact(one) for one in outcome.differences],
        "machine_differences": comparison.machine_differences(
            run.machine if run else None, first.machine if first else None
        ),
        "tool_differences": list(_other_tools(run, outcome.replayed)) if run else [],
        "notes": list(outcome.notes),
    }


def _fact(one: Difference) -> dict[str, object]:
    return {
        "stage_id": one.stage or None,
        "what": one.what,
        "recorded": one.recorded,
        "now": one.now,
        "weight": one.weight.value,
        "why": one.why or None,
    }
