"""Keys about a change itself: its size, its versions, its speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.kinds import Choice, Flag, MapOf, Number, Place, Text, Whole
from orchgate.config.shapes import (
    AREA,
    BENCHMARKS,
    CHANGE,
    FEWER,
    GLOBS,
    METRIC,
    MORE,
    PLACES,
    REFUSED,
    RUN,
    SEEN,
    TEXTS,
    Key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DIFF_BUDGET: Mapping[str, Key] = {
    "max-files": Key(Whole(), 25, "files a change may touch", REFUSED, MORE, ("DIF",)),
    "max-lines": Key(Whole(), 800, "lines a change may add and remove", REFUSED, MORE, ("DIF",)),
    "ignore": Key(
        GLOBS,
        (
            "**/*.lock",
            "**/package-lock.json",
            "**/npm-shrinkwrap.json",
            "**/pnpm-lock.yaml",
            "**/go.sum",
            "**/*.min.js",
            "**/*.min.css",
            "**/*.snap",
        ),
        "globs that do not count",
        SEEN,
        MORE,
        ("DIF", "PRF"),
    ),
    "areas": Key(
        MapOf(AREA, Place()), {}, "parts of the tree counted apart, each with its own limits", REFUSED, CHANGE, ("DIF",)
    ),
    "override-variable": Key(
        Text(),
        "DIFF_BUDGET_OVERRIDE_REASON",
        "environment variable that lifts the budget with a reason",
        REFUSED,
        CHANGE,
        ("DIF",),
    ),
    "override-trailer": Key(
        Text(), "Diff-Budget-Override", "commit trailer that lifts the budget with a reason", REFUSED, CHANGE, ("DIF",)
    ),
}
VERSION_BUMP: Mapping[str, Key] = {
    "files": Key(
        GLOBS,
        (
            "**/pyproject.toml",
            "**/package.json",
            "**/Cargo.toml",
            "**/__init__.py",
            "**/__about__.py",
            "**/_version.py",
            "**/version.py",
            "**/VERSION",
            "**/VERSION.txt",
        ),
        "files that carry a version",
        SEEN,
        FEWER,
        ("VER",),
    ),
    "allow-branches": Key(GLOBS, (), "branches on which a version may change, as globs", REFUSED, MORE, ("VER",)),
    "allow-trailer": Key(
        Text(), "Version-Bump", "commit trailer that allows a version change with a reason", REFUSED, CHANGE, ("VER",)
    ),
}
PERFORMANCE: Mapping[str, Key] = {
    "pipeline": Key(Text(), "", "pipeline that the gate measures", RUN, CHANGE, ("PRF",)),
    "budget-seconds": Key(Number(1, 240, "seconds"), 30.0, "time a push may take to judge", RUN, FEWER, ("PRF",)),
    "relevant": Key(
        GLOBS, (), "paths whose change is worth measuring; none: all but documents and evidence", SEEN, CHANGE, ("PRF",)
    ),
    "prepare": Key(
        TEXTS, (), "command that readies a tree before it is measured, such as an installation", RUN, CHANGE, ("PRF",)
    ),
    "watch": Key(
        PLACES,
        (".runs", "out"),
        "folders in which files written during a measured run are counted",
        SEEN,
        FEWER,
        ("PRF",),
    ),
    "inconclusive": Key(
        Choice(("warn", "block")), "warn", "what an undecided comparison does", REFUSED, CHANGE, ("PRF",)
    ),
    "baseline-days": Key(
        Whole(1, 100_000), 90, "days after which the stored baseline is stale", REFUSED, MORE, ("PRF",)
    ),
    "task": Key(Text(), "", "task whose recorded runs are held to the bounds of the rates", SEEN, CHANGE, ("PRF",)),
    "metrics": Key(MapOf(METRIC), {}, "thresholds by metric", REFUSED, CHANGE, ("PRF",)),
    "exact": Key(
        Flag(),
        False,
        "whether instructions, counted by valgrind, decide what CPU time leaves open",
        REFUSED,
        CHANGE,
        ("PRF",),
    ),
    "benchmarks": Key(
        BENCHMARKS,
        None,
        "file in which a run leaves the results of its benchmarks, and the format of it",
        SEEN,
        CHANGE,
        ("PRF",),
    ),
}
