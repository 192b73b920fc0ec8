"""Keys about a change itself: its size, its versions, its speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.kinds import Choice, MapOf, Number, Place, Text, Whole
from orchgate.config.shapes import AREA, GLOBS, METRIC, PLACES, TEXTS, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

DIFF_BUDGET: Mapping[str, Key] = {
    "max-files": Key(Whole(), 25, "files a change may touch", "more", ("DIF001",), limit=True),
    "max-lines": Key(Whole(), 800, "lines a change may add and remove", "more", ("DIF001",), limit=True),
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
        "more",
        ("DIF001",),
        limit=True,
    ),
    "areas": Key(
        MapOf(AREA, Place()),
        {},
        "parts of the tree counted apart, each with its own limits",
        "change",
        ("DIF001",),
        limit=True,
    ),
    "override-variable": Key(
        Text(),
        "DIFF_BUDGET_OVERRIDE_REASON",
        "environment variable that lifts the budget with a reason",
        "change",
        ("DIF001",),
        limit=True,
    ),
    "override-trailer": Key(
        Text(),
        "Diff-Budget-Override",
        "commit trailer that lifts the budget with a reason",
        "change",
        ("DIF001",),
        limit=True,
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
        "fewer",
        ("VER001", "VER002"),
        limit=True,
    ),
    "allow-branches": Key(
        GLOBS, (), "branches on which a version may change, as globs", "more", ("VER001",), limit=True
    ),
    "allow-trailer": Key(
        Text(),
        "Version-Bump",
        "commit trailer that allows a version change with a reason",
        "change",
        ("VER001",),
        limit=True,
    ),
}
PRF = ("PRF001", "PRF002", "PRF003", "PRF004", "PRF005", "PRF006")
PERFORMANCE: Mapping[str, Key] = {
    "pipeline": Key(Text(), "", "pipeline that the gate measures", "change", PRF, limit=True),
    "budget-seconds": Key(
        Number(1, 240, "seconds"),
        30.0,
        "time a push may take to judge",
        "fewer",
        ("PRF001", "PRF004", "PRF006"),
        limit=True,
    ),
    "relevant": Key(
        GLOBS,
        (),
        "paths whose change is worth measuring; none: all but documents and evidence",
        "change",
        PRF,
        limit=True,
    ),
    "prepare": Key(
        TEXTS,
        (),
        "command that readies a tree before it is measured, such as an installation",
        "change",
        PRF,
        limit=True,
    ),
    "watch": Key(
        PLACES,
        (".runs", "out"),
        "folders in which files written during a measured run are counted",
        "fewer",
        ("PRF002",),
        limit=True,
    ),
    "inconclusive": Key(
        Choice(("warn", "block")), "warn", "what an undecided comparison does", "change", ("PRF004",), limit=True
    ),
    "baseline-days": Key(
        Whole(1, 100_000), 90, "days after which the stored baseline is stale", "more", ("PRF003",), limit=True
    ),
    "task": Key(
        Text(), "", "task whose recorded runs are held to the bounds of the rates", "change", ("PRF005",), limit=True
    ),
    "metrics": Key(
        MapOf(METRIC), {}, "thresholds by metric", "change", ("PRF001", "PRF002", "PRF005", "PRF006"), limit=True
    ),
}
