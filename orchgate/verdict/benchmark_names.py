"""Names of benchmarks: which limits are whose, and which two may be one that was renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib.globs import compile_glob
from orchgate.verdict.values import USUAL_BENCHMARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchgate.verdict.values import Metric

_MOST = 30  # names of a side; with more, comparing each with each takes seconds and tells nothing
_ALIKE = 0.6
_SLASH = "\0"  # in no name


def limit(name: str, limits: Sequence[tuple[str, Metric]]) -> Metric:
    """What a benchmark is held to: by its own name, else by the first glob that matches; a `*` matches a `/`, too."""
    for glob, metric in limits:
        if glob == name:
            return metric
    for glob, metric in limits:
        if compile_glob(glob.replace("/", _SLASH)).fullmatch(name.replace("/", _SLASH)):
            return metric
    return USUAL_BENCHMARK


def renamed(gone: Sequence[str], new: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of an old and a new name that are nearest to each other, and near."""
    if not gone or not new or max(len(gone), len(new)) > _MOST:
        return ()
    return tuple((old, name) for old in gone if (name := _nearest(old, new)) and _nearest(name, gone) == old)


def _nearest(name: str, among: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, among, n=1, cutoff=_ALIKE)), "")
