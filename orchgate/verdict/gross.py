"""Head is slower by so much that no statistics are needed: its fastest run beyond base's slowest, or no end in sight.

That a neighbour makes all runs of head so slow, and none of base, was not met once in recorded runs of the same work,
busy and idle: `bench/accuracy/gross.py`. Memory is left to the statistics.
"""

from __future__ import annotations

from math import inf

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.verdict import words
from orchgate.verdict.samples import columns
from orchgate.verdict.sequential import PRIMARY, SECOND
from orchgate.verdict.values import Compared, Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.verdict.values import Metric, Pair, Policy

PAIRS = 3
MORE_PAIRS = 6  # of wall time, where neighbours might explain what three show
FACTOR = 1.5  # of base's slowest run
# Seconds that head takes more at least: the times of very short commands double by chance, and wall time by neighbours.
FLOORS = {PRIMARY: 0.02, SECOND: 0.25}
_WAITING = 10.0  # times its CPU time: for so long at most a run waits for a CPU, where neighbours are many
_LIMIT = 5.0  # times what base takes, and
_MORE = 1.0  # seconds more: by then head should be over
_ENDED = "it was ended there"


class Unfinished(NamedTuple):
    """Head was ended again and again, in `stage`, after so many `seconds`; base's slowest run took `base` seconds."""

    base: float
    seconds: float
    stage: str


def excesses(pairs: Sequence[Pair], waited: Sequence[float | None], policy: Policy) -> tuple[Compared, ...]:
    """The times that these pairs show to be far too long; to be asked after PAIRS and after MORE_PAIRS of them.

    `waited` are the seconds for which something waited for a CPU during each run of head; None: nobody knows.
    """
    if len(pairs) not in (PAIRS, MORE_PAIRS):
        return ()
    metrics = [policy.metrics[name] for name in (PRIMARY, SECOND) if name in policy.metrics]
    found = (_excess(pairs, waited, metric) for metric in metrics)
    return tuple(one for one in found if one is not None)


def suspicious(pairs: Sequence[Pair], policy: Policy) -> bool:
    """Whether these pairs, be they fewer than PAIRS, look as if head were far too slow."""
    metrics = [policy.metrics[name] for name in (PRIMARY, SECOND) if name in policy.metrics]
    return bool(pairs) and any(
        _known(pairs, metric) and _beyond(pairs, metric, [0.0] * len(pairs)) for metric in metrics
    )


def limit(base: float, policy: Policy) -> float | None:
    """In how many seconds head should be over where base took `base`; None where wall time is not judged."""
    metric = policy.metrics.get(SECOND)
    return None if metric is None else max(_LIMIT, 1.0 + metric.block) * base + metric.slack + _MORE


def _excess(pairs: Sequence[Pair], waited: Sequence[float | None], metric: Metric) -> Compared | None:
    if not _known(pairs, metric):
        return None
    others = [0.0] * len(pairs)
    if metric.name != PRIMARY and len(pairs) < MORE_PAIRS:
        others = [_of_others(pair, seconds) for pair, seconds in zip(pairs, waited, strict=True)]
    if not _beyond(pairs, metric, others):
        return None
    bases, heads = columns(pairs, metric.name)
    least, most = words.amount(metric.name, min(heads)), words.amount(metric.name, max(bases))
    reason = f"base took at most {most}, head at least {least}"
    return _refused(metric.name, len(pairs), median(bases), median(heads), reason)


def _of_others(pair: Pair, waited: float | None) -> float:
    """For how many seconds head's run may have done nothing because neighbours had the CPUs."""
    most = _WAITING * pair.head[PRIMARY] if PRIMARY in pair.head else inf
    return most if waited is None else min(waited, most)


def _known(pairs: Sequence[Pair], metric: Metric) -> bool:
    """Whether all runs were measured, and base's whole: it may have taken longer than is known."""
    return all(
        metric.name in pair.base and metric.name in pair.head and metric.name not in pair.base_bounds for pair in pairs
    )


def _beyond(pairs: Sequence[Pair], metric: Metric, waited: Sequence[float]) -> bool:
    bases, heads = columns(pairs, metric.name)
    least = min(head - wait for head, wait in zip(heads, waited, strict=True))
    return least > max(FACTOR, 1.0 + metric.block) * max(bases) + metric.slack + FLOORS[metric.name]


def unfinished(found: Unfinished) -> Compared:
    base, seconds = (words.seconds(value) for value in (found.base, found.seconds))
    reason = f"base {base}, head not finished after {seconds}, twice"
    refused = _refused(SECOND, 0, found.base, found.seconds, reason)
    return refused._replace(head_lower_bound=_ENDED)


def _refused(name: str, pairs: int, base: float, head: float, reason: str) -> Compared:
    return Compared(name, Verdict.FAIL, None, None, None, pairs, None, None, base, head, reason)


def judgement(found: Sequence[Compared], rest: Judgement | None) -> Judgement:
    """Head is refused for what was `found`; `rest` is what the pairs so far say of everything, if there are any."""
    if rest is None or rest.verdict is Verdict.BROKEN:  # so much slower that it looks like another unit
        return Judgement(Verdict.FAIL, tuple(found), decided=True)
    refused = {one.name: one for one in found}
    others = [refused.pop(one.name, one) for one in rest.metrics]
    return rest._replace(verdict=Verdict.FAIL, metrics=(*others, *refused.values()), decided=True)
