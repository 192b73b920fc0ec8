"""What others find in a stream: ruptures (Truong et al. 2020) and Apache Otava (Fleming et al. 2023), where installed.

Each with the setting of its own pages first, and settings that are stricter and stricter, to be chosen from.
"""

from __future__ import annotations

import importlib
import importlib.util
from itertools import pairwise
from math import log
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class Rival(NamedTuple):
    name: str
    find: Callable[[Sequence[float], float], Iterable[int]]
    settings: tuple[float, ...]


def installed() -> Iterator[Rival]:
    if importlib.util.find_spec("ruptures"):
        ruptures = importlib.import_module("ruptures")
        yield Rival(
            "ruptures PELT, l2, penalty 2 s^2 ln n times", _pelt(ruptures), (1, 3, 10, 30, 100, 300, 1000, 3000)
        )
        yield Rival("ruptures KernelCPD, rbf, penalty", _kernel(ruptures), (10, 20, 40, 60, 80, 100, 120, 150))
    if importlib.util.find_spec("otava"):
        analysis = importlib.import_module("otava.analysis")
        yield Rival("Otava, p", _p_value(analysis), (1e-3, 1e-5, 1e-8, 1e-12, 1e-18, 1e-27, 1e-40))
        yield Rival("Otava, p of 0.001, least change", _magnitude(analysis), (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6))


def absent() -> list[str]:
    return [name for name in ("ruptures", "otava") if not importlib.util.find_spec(name)]


def _signal(values: Sequence[float]) -> Any:
    return importlib.import_module("numpy").array(values) / median(values)


def _pelt(ruptures: Any) -> Callable[[Sequence[float], float], Iterable[int]]:
    def find(values: Sequence[float], times: float) -> Iterable[int]:
        signal = _signal(values)
        steps = [abs(after - before) for before, after in pairwise(signal)]
        variance = (1.4826 * median(steps)) ** 2 / 2 or 1e-12
        return ruptures.Pelt(model="l2").fit(signal).predict(pen=times * 2 * variance * log(len(values)))[:-1]  # type: ignore[no-any-return]

    return find


def _kernel(ruptures: Any) -> Callable[[Sequence[float], float], Iterable[int]]:
    def find(values: Sequence[float], penalty: float) -> Iterable[int]:
        return ruptures.KernelCPD(kernel="rbf").fit(_signal(values)).predict(pen=penalty)[:-1]  # type: ignore[no-any-return]

    return find


def _p_value(analysis: Any) -> Callable[[Sequence[float], float], Iterable[int]]:
    return lambda values, p: [int(one.index) for one in analysis.compute_change_points(list(values), max_pvalue=p)[0]]


def _magnitude(analysis: Any) -> Callable[[Sequence[float], float], Iterable[int]]:
    def find(values: Sequence[float], least: float) -> Iterable[int]:
        return [int(one.index) for one in analysis.compute_change_points(list(values), min_magnitude=least)[0]]

    return find
