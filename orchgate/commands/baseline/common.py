"""What the verbs of `orchgate baseline` share: where they are, how a record is accepted, and how it is shown."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from orchgate.commands.shared import options, work_tree
from orchgate.commands.shared.options import Renamed
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.text import counted, median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MetricKind
from orchgate.outputs._document import headed, unit_of
from orchgate.outputs._escape import escape
from orchgate.runs import stages
from orchgate.verdict import baseline, baseline_facts
from orchgate.verdict.values import KNOWN, WHEN_NAMED
from orchgate.verdict.words import AT_LEAST

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.commands.shared.command_line import Parser
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.verdict.baseline import Baseline, BaselineRecord

VERSION = 1
RUNS = 12
_SHOWN = ("median", "deviation", "least", "most")
KINDS = {metric.name: metric.kind for metric in (*KNOWN, *WHEN_NAMED)}
COMMIT_IT = f"commit {baseline.PATH} and {os.path.dirname(baseline.PATH)}/.gitattributes: others are judged by them"


class Here(NamedTuple):
    """The repository, its configuration, and this machine. `hashes` are those of today's pipelines."""

    repository: Repository
    config: Config
    machine: Mapping[str, Any]
    hashes: Mapping[str, str]
    now: float

    @property
    def root(self) -> str:
        return self.repository.root

    @property
    def fingerprint(self) -> str:
        return str(self.machine["fingerprint"])


@contextlib.contextmanager
def here() -> Iterator[Here]:
    """Raises GitError, ConfigError."""
    from orchgate.config.load import load_work_tree
    from orchgate.gate import session
    from orchgate.runs.machine import fingerprint
    from orchgate.runs.pipeline import load_all

    with session.opened() as repository:
        if not repository.root:
            raise OrchgateError("a bare repository has no work tree to keep a baseline in", "run it in a clone")
        config = load_work_tree(repository.root)
        pipelines = load_all(repository.root, config)
        hashes = {name: stages.pipeline_hash(pipelines, one) for name, one in pipelines.items()}
        yield Here(repository, config, fingerprint(), hashes, time.time())


def target(at: Here, args: argparse.Namespace) -> str:
    """The name under which the wanted pipeline or command is recorded. Raises UsageError when there is none."""
    options.refuse_both(args)
    name = args.pipeline or at.config.performance.pipeline
    if args.command:
        name = stages.command_name(args.command, options.folder(at.root))
    if not name:
        known = ", ".join(at.hashes) or "none yet"
        raise UsageError("no pipeline is named, and performance.pipeline is not set", f"name one; there are: {known}")
    if not baseline_facts.is_pipeline(name):
        raise UsageError(f"{name[:60]!r} cannot be the name of a record", "make it a pipeline with a short id")
    return str(name)


def facts(machine: Mapping[str, Any]) -> dict[str, str | float]:
    """The readable facts of a machine class that a record keeps."""
    return {key: machine[key] for key in baseline_facts.MACHINE if machine.get(key) is not None}


# Accepting


def add_accepting(parser: Parser) -> None:
    """The options of the verbs that put a record in its place."""
    parser.add_argument("--reason", default="", metavar="TEXT", help="why this is accepted; others will read it")
    parser.add_argument("--force", action="store_true", help="supersede the record that is there; needs a reason")
    parser.add_argument("--allow-dirty", action="store_true", help="although tracked files differ from the commit")
    parser.old_names = {"--replace": Renamed("--force")}


def reason(args: argparse.Namespace, default: str) -> str:
    """Raises UsageError where there has to be one and is none."""
    given = " ".join(args.reason.split())
    if args.force and not given:
        raise UsageError("--force takes a reason, which stays in the file", 'add --reason "the parser is worth 5 %"')
    if given and not baseline_facts.is_text(given):
        raise UsageError(f"--reason takes one printable line of at most {baseline_facts.MAX_TEXT} characters")
    return given or default


def refuse_overwriting(at: Here, existing: Baseline, pipeline: str, machine: str, args: argparse.Namespace) -> None:
    """Raises UsageError unless the record may be put in place of what is there."""
    old = existing.of(pipeline, machine)
    if old is None or args.force:
        return
    whose = "this machine type" if machine == at.fingerprint else f"machine type {machine}"
    message = f"{pipeline} has a baseline for {whose}, recorded {old.recorded_at} by {old.recorded_by}: {old.reason}"
    raise UsageError(message, "--force --reason TEXT supersedes it; the old one stays in the history")


def tree_state(at: Here, args: argparse.Namespace) -> bool:
    """Whether tracked files differ from the commit. Raises OrchgateError when they do and may not."""
    from orchgate.git.state import PendingStatus

    with PendingStatus(at.repository) as question:
        pass
    state = question.answer()
    dirty = bool(state and state.dirty)
    if dirty and not args.allow_dirty:
        message = "tracked files differ from HEAD, and HEAD is what is measured"
        raise OrchgateError(message, "commit or stash them, or pass --allow-dirty: the record will say so")
    return dirty


def common(found: Sequence[Mapping[str, float]]) -> tuple[dict[str, tuple[float, ...]], list[str]]:
    """Samples by metric of several runs, and what there is to say about them. What some runs lack is left out."""
    names = list(dict.fromkeys(name for metrics in found for name in metrics))
    samples: dict[str, tuple[float, ...]] = {}
    notes = []
    for name in sorted(names):
        values = [metrics[name] for metrics in found if name in metrics]
        bad = next((why for value in values if (why := baseline_facts.wrong_sample(name, value))), "")
        if len(values) < len(found):
            notes.append(f"{name} was measured in {len(values)} of {len(found)} runs only: left out")
        elif bad or not baseline_facts.is_metric(name):
            notes.append(f"{name}: {bad or 'is not the name of a metric'}: left out")
        else:
            samples[name] = tuple(values)
            if KINDS.get(name, MetricKind.COUNTER).exact and len(set(values)) > 1:
                notes.append(f"{name} differs between runs of one tree: {number(min(values))} to {number(max(values))}")
    return samples, notes


def bounds(found: Iterable[Mapping[str, str]], names: Collection[str]) -> dict[str, str]:
    """Why samples of these metrics are lower bounds, of several runs: the first reason of each."""
    known: dict[str, str] = {}
    for one in found:
        for name, why in one.items():
            line = " ".join(why.split())[: baseline_facts.MAX_TEXT]
            if name in names:
                known.setdefault(name, line if baseline_facts.is_text(line) else "not measured whole")
    return dict(sorted(known.items()))


# Showing


def row(at: Here, record: BaselineRecord, known: Baseline) -> dict[str, object]:
    """A record with what follows from it, JSON-able."""
    from orchgate.git import history

    head = at.repository.head
    behind = history.commits_between(at.repository, record.commit, head) if record.commit and head else None
    stale = why_stale(at, record, behind)
    plain = record._asdict()
    plain |= {"machine": dict(record.machine), "run_ids": list(record.run_ids), "runs": record.runs}
    plain |= {"this_machine": record.fingerprint == at.fingerprint, "commits_behind": behind, "stale": stale or None}
    plain["superseded"] = [_superseded(old) for old in known.history.get(record.place, ())]
    plain["samples"] = {name: list(samples) for name, samples in record.samples.items()}
    plain["lower_bounds"] = dict(record.lower_bounds)
    plain["metrics"] = [
        _metric(name, record.samples[name], record.lower_bounds.get(name)) for name in _ordered(record.samples)
    ]
    return plain


def why_stale(at: Here, record: BaselineRecord, behind: int | None = None) -> str:
    """In words that follow "it"; "" while the record is good."""
    known = at.hashes.get(record.pipeline, "")
    if not known and not record.pipeline.startswith("-- "):
        return "is of a pipeline that is not defined any more"
    days = at.config.performance.baseline_max_age_days
    return baseline.stale(record, at.now, pipeline_hash=known, commits_behind=behind, max_days=days)


def _superseded(record: BaselineRecord) -> dict[str, object]:
    return {"recorded_at": record.recorded_at, "recorded_by": record.recorded_by, "reason": record.reason}


def _ordered(samples: Mapping[str, object]) -> list[str]:
    known = list(KINDS)
    return sorted(samples, key=lambda name: (known.index(name) if name in KINDS else len(known), name))


def _metric(name: str, samples: Sequence[float], bound: str | None) -> dict[str, object]:
    """Median, and the median absolute deviation from it."""
    middle = median(samples)
    spread = median([abs(sample - middle) for sample in samples])
    kind = KINDS.get(name, MetricKind.COUNTER).value
    return {
        "name": name,
        "kind": kind,
        "unit": unit_of(name),
        "median": middle,
        "deviation": spread,
        "least": min(samples),
        "most": max(samples),
        "lower_bound": bound,
    }


def show(
    args: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    heading: Callable[[], Iterator[str]],
    failure: Mapping[str, Any] | None = None,
) -> None:
    """Prints what a verb did, or for a program the same as one document."""
    if args.output_format == "json":
        facts = {"verb": args.verb, "path": baseline.PATH, "records": list(rows), "notes": list(notes)}
        work_tree.print_json(headed("baseline-report", {**facts, "failure": failure}, VERSION))
        return
    lines = [*heading(), *(line for one in rows for line in record_lines(one)), *(f"note: {note}" for note in notes)]
    sys.stdout.writelines(escape(line) + "\n" for line in lines)


def record_lines(one: Mapping[str, Any]) -> Iterator[str]:
    """A record as lines for people."""
    machine = one["machine"]
    about = [f"{machine['cores']:g} cores"] if "cores" in machine else []
    about += [str(machine[key]) for key in ("cpu_model", "memory_class", "container") if key in machine]
    mine = "this machine type" if one["this_machine"] else "another machine type"
    yield f"{one['pipeline']} on {one['fingerprint']} ({mine}: {', '.join(about) or 'nothing known'})"
    commit = str(one["commit"] or "no commit")[:12] + (" with changes in the tree" if one["dirty"] else "")
    behind = f", {counted(one['commits_behind'], 'commit')} behind HEAD" if one["commits_behind"] else ""
    yield f"  {counted(one['runs'], 'run')} of {commit}{behind}, {one['recorded_at']} by {one['recorded_by']}"
    yield f"  reason: {one['reason']}"
    if one["stale"]:
        yield f"  stale: it {one['stale']}"
        yield f'  hint: orchgate baseline record --force --reason "measured again" {quoted(one["pipeline"])}'
    yield from _table(one["metrics"])
    for old in one["superseded"]:
        yield f"  superseded: {old['recorded_at']} by {old['recorded_by']}: {old['reason']}"


def _table(metrics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len("metric"), *(len(metric["name"]) for metric in metrics))
    yield f"  {'metric':<{width}}  {'median':>12}  {'deviation':>12}  {'least':>12}  {'most':>12}"
    for metric in metrics:
        least = "" if metric["lower_bound"] is None else AT_LEAST
        cells = [f"{least if key != 'deviation' else ''}{number(metric[key])}" for key in _SHOWN]
        yield f"  {metric['name']:<{width}}  {'  '.join(f'{text:>12}' for text in cells)}"
    for metric in metrics:
        if metric["lower_bound"] is not None:
            yield f"  {AT_LEAST}{metric['name']}: at least, not measured whole: {metric['lower_bound']}"


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6g}"


def quoted(pipeline: str) -> str:
    import shlex

    return pipeline if pipeline.startswith("-- ") else shlex.quote(pipeline)
