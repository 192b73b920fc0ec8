"""What the runs of a store show, from the newest of them: DuckDB picks those, and all others stay where they are."""

from __future__ import annotations

from orchgate.history.query import Runs
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.trends import answers, classes
from orchgate.trends.classes import FlakyStage
from orchgate.trends.streams import MOST_RUNS
from orchgate.verdict.before_after import share_interval

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from orchgate.trends.answers import Answers, TrendContext

TOGETHER = 10_000  # runs that are read, of all pipelines and classes of machines


def of_database(database: DuckDBPyConnection, here: TrendContext) -> Answers:
    """What the runs laid out in a database show: those of this repository where there are some, else those of all."""
    from orchgate.history.sql import newest, relations

    every = relations.repositories(database)
    wanted = {one.name: one for one in [one for one in every if here.identity.is_also(one)] or every}
    lines = {label: here.line.places for label, one in wanted.items() if here.line and here.identity.is_also(one)}
    found = newest.entries(database, sorted(wanted), lines, MOST_RUNS, TOGETHER)
    runs = [Runs(wanted[label], tuple(entries), {}) for label, entries in found]
    flaky = [
        FlakyStage(label, pipeline, stage, max(ended, count), count, *share_interval(count, max(ended, count)))
        for label, pipeline, stage, ended, count in newest.flaky_stages(database, classes.LEAST_FLAKY)
        if label in wanted
    ]
    return answers.of_runs(runs, here)._replace(flaky=tuple(classes.flakiest(flaky)))
