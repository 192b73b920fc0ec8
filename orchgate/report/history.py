"""What the runs of all machines show that are known here: changes, drift, flaky stages and classes of machines."""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from importlib.util import find_spec

from orchgate.errors import OrchgateError
from orchgate.git.call import common_dir
from orchgate.git.store.reference import Store
from orchgate.history import collect, git_store, query, repositories, segments, store
from orchgate.history.objects.cached import caches
from orchgate.history.store import Loaded
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.report.values import HistorySection, HistoryTrend, ReadProblem, TrendMark
from orchgate.trends import answers, told
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from orchgate.gate.context import Context
    from orchgate.git.repository import Repository
    from orchgate.history.objects.cached import PartCache
    from orchgate.history.query import Runs
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.store import Within
    from orchgate.report.values import MetricTrend, PipelineState, TaskState
    from orchgate.trends.changes import TrendChange
    from orchgate.trends.streams import Stream

DAYS = 365  # of runs that are looked at
PARTS_BYTES = 4 << 20  # of what was fetched from a store
CHARTS = 3  # of what changed last


def read(ctx: Context) -> tuple[HistorySection | None, tuple[ReadProblem, ...]]:
    """What there is to show; None where there are no runs, and what of the history could not be read."""
    if ctx.repository is None or not ctx.repository.root:
        return None, ()
    try:
        identity = repositories.identify(ctx.repository, ctx.config.history.repository)
        known = answers.known(ctx.repository, ctx.config, identity)
        runs, problems = _runs(ctx.repository, identity, collect.ahead())
    except OrchgateError as error:
        return None, (ReadProblem("history-unreadable", f"the history: {error.message}", error.hint),)
    number = sum(len(one.entries) for one in runs)
    if not number:
        return None, problems
    found = answers.of_runs(runs, known)
    line = found.line and found.line._replace(places={})  # of which a page needs the name alone
    shown = found._replace(line=line, streams=())
    return HistorySection(shown, tuple(_trends(found.changes, found.streams)), number), problems


def _runs(
    repository: Repository, identity: RepositoryIdentity, limit: datetime
) -> tuple[list[Runs], tuple[ReadProblem, ...]]:
    """Own runs and fetched ones, each once. Raises GitError."""
    since = limit - timedelta(days=DAYS)
    source, _ = git_store.fetched(Store(repository, {}, git_store.HISTORY))
    loaded = store.load(source, source.names(store.since(since)))
    kept, problems = _of_stores(repository, identity, store.since(since))
    loaded = loaded.joined(kept)
    found = [(repositories.of_head(one.head), list(one.runs)) for one in loaded.segments]
    found.append((identity, list(collect.collect(repository.root, limit).runs.values())))
    if loaded.faults:
        what = f"{counted(len(loaded.faults), 'segment')} of the history cannot be read, and their runs do not count"
        problems = (*problems, ReadProblem("history-unreadable", what, "orchgate history verify"))
    return query.counted(found, limit, since), problems


def _of_stores(
    repository: Repository, identity: RepositoryIdentity, within: Within
) -> tuple[Loaded, tuple[ReadProblem, ...]]:
    """What is here of folders and buckets, of this repository: as many of the newest parts as a page has time for."""
    loaded, problems = Loaded(()), []
    for cache in caches(common_dir(repository.git_dir)):
        if find_spec("duckdb") is None:
            what = f"runs that were fetched from {cache.where} are not on the page: reading them needs duckdb"
            problems.append(ReadProblem("history-unreadable", what, "pip install 'orchgate[history]'"))
            continue
        from orchgate.history.objects.part_store import CachedParts

        parts = CachedParts(cache, cache.where)
        ours = [name for name in parts.names(within) if f"/repo={segments.slug(identity.name)}/" in name]
        loaded = loaded.joined(store.load(parts, _newest(cache, ours)))
    return loaded, tuple(problems)


def _newest(cache: PartCache, names: Iterable[str]) -> list[str]:
    found: list[str] = []
    size = 0
    for name in sorted(names, key=lambda name: name.split("/")[-2:], reverse=True):
        with contextlib.suppress(OSError):  # forgotten meanwhile
            size += os.stat(os.path.join(cache.path, name)).st_size
            if found and size > PARTS_BYTES:
                break
            found.append(name)
    return found


def _trends(changes: Iterable[TrendChange], streams: Iterable[Stream]) -> Iterator[HistoryTrend]:
    by_key = {stream.key: stream for stream in streams}
    newest = sorted(changes, key=lambda one: -one.since)
    for key in list(dict.fromkeys(one.key for one in newest))[:CHARTS]:
        runs, values = by_key[key].runs, by_key[key].values
        places = {run.run_id: at for at, run in enumerate(runs)}
        marks = tuple((places[one.run_id], _label(one)) for one in newest if one.key == key)
        yield HistoryTrend(key, tuple(zip([run.moment for run in runs], values, strict=True)), marks)


def _label(one: TrendChange) -> str:
    first = one.range.first_after
    return words.percent(one.by) + (f", {first[: told.COMMIT]}" if first else "")


def marked(tasks: Sequence[TaskState], past: HistorySection | None) -> Iterator[TaskState]:
    """Tasks whose charts say where the level of all runs changed."""
    changes = [one for one in past.answers.changes if not (one.key.stage or one.key.benchmark)] if past else []
    for task in tasks:
        yield task._replace(pipelines=tuple(_of_pipeline(one, changes) for one in task.pipelines)) if changes else task


def _of_pipeline(one: PipelineState, changes: Iterable[TrendChange]) -> PipelineState:
    ours = [change for change in changes if change.key[1:3] == (one.pipeline_id, one.machine_id)]
    return one._replace(trends=tuple(_of_metric(trend, ours) for trend in one.trends)) if ours else one


def _of_metric(trend: MetricTrend, changes: Iterable[TrendChange]) -> MetricTrend:
    marks = []
    for change in changes:
        moved = (change.key.metric, *(one.name for one in change.also))
        # The run itself may be another task's, or another clone's.
        later = next((point.anchor for point in trend.points[1:] if point.started_at >= told.moment(change.since)), "")
        if trend.metric in moved and later and trend.points[0].started_at < told.moment(change.since):
            marks.append(TrendMark(later, _label(change)))
    return trend._replace(marks=tuple(marks))
