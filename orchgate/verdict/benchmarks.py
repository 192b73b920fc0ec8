"""Named benchmarks of a comparison, judged together, and once: when the pairs are at their end.

Each is tested as a time is, over all pairs in which both sides have it. FALSE bounds the fraction of false ones to be
expected among those called slower. As nobody knows beforehand where a comparison ends, every look at which it may end
has its own part of that: EARLY of what is left, and all of it where no more pairs come. To end there takes only that
part, so whatever makes it end, the rate holds by adding up.

Which of many tests to believe: the step-up procedure of Benjamini and Hochberg assumes that tests depend on each other
in no bad way. Benchmarks of one run share its coin flip and its neighbours, in ways nobody knows, so the thresholds are
those that hold under any dependence (Blanchard and Roquain, "Two simple sufficient conditions for FDR control", 2008):
the one of the k smallest p-values is `level * reshaped(k) / m`, where `reshaped(k)` is the sum of i * weight(i) up to k
for weights that add up to 1. Benjamini and Yekutieli's are the weights in proportion to 1 / i; here they make a part,
and the rest lies on i = 1: a change mostly moves few benchmarks, and for the first it takes fewer pairs.
"""

from __future__ import annotations

import functools
from functools import lru_cache
from math import ceil, exp, expm1, log, log1p, log2

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.model import Verdict, worst
from orchgate.verdict import exact, reported_benchmarks, sign_flip
from orchgate.verdict.reported_benchmarks import reported
from orchgate.verdict.sequential import MISS
from orchgate.verdict.sign_flip import Sample
from orchgate.verdict.values import BENCHMARK, LOOKS, BenchmarkJudgement, Compared, Judgement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.verdict.reported_benchmarks import Column, Reported
    from orchgate.verdict.values import Metric, Pair, Policy, Sitting

FALSE = 0.01
EARLY = 0.2
PROBABLE = 0.025  # the same rate, of those called probably slower
_FEWEST = 8  # pairs
_LEFT_OPEN = 0.1  # of the benchmarks
_HALVINGS = 12  # of an interval
_EDGE = 1e-9  # outside of all that was measured
_LARGEST = 700.0  # logarithm of a change that is a number still
_ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE, Verdict.PASS)
_ON_THE_FIRST = 0.8


class _Belief(NamedTuple):
    """Which are slower, which at least probably; up to which p-value one is not, and what an interval leaves out."""

    slower: frozenset[str]
    probable: frozenset[str]
    miss: float
    each: float


class _End(NamedTuple):
    """Where a comparison may end: after so many pairs, of a sitting that began after `begun` and has a `share`."""

    pairs: int
    ended: bool
    begun: int = 0
    share: float = 1.0

    def part(self, first: int) -> float:
        """The part of an error budget that ending here takes, of one that can be spent from a `first` look on.

        Nothing of it before, where more pairs are to come.
        """
        if self.pairs < first and not self.ended:
            return 0.0
        before = sum(max(first, self.begun + 1) <= look < self.pairs for look in LOOKS)
        return self.share * (1 - EARLY) ** before * (1.0 if self.ended else EARLY)


class PairJudge(Protocol):
    def __call__(
        self, pairs: Sequence[Pair], policy: Policy, sittings: Sequence[Sitting] = (), *, ended: bool = True
    ) -> Judgement: ...


class _Test(NamedTuple):
    """One benchmark over the pairs that have it, on the scale of logarithms."""

    metric: Metric
    sample: Sample
    p_slower: float


def added_to(judge: PairJudge) -> PairJudge:
    """A `judge` of whole runs that also judges their benchmarks; nothing is decided before those can be."""

    @functools.wraps(judge)
    def both(
        pairs: Sequence[Pair], policy: Policy, sittings: Sequence[Sitting] = (), *, ended: bool = True
    ) -> Judgement:
        found = reported(pairs)
        only = found is not None and all(map(_is_benchmark, (name for pair in pairs for name in pair.base)))
        judgement = Judgement(Verdict.PASS, decided=True) if only else judge(pairs, policy, sittings, ended=ended)
        if not pairs or (found is None and not policy.benchmarks.required):
            return judgement
        end = _End(len(pairs), ended, *((sittings[-1].begun, sittings[-1].share) if sittings else ()))
        named, enough = _named(found, policy, end)
        reason = judgement.reason or (named.reason if named.verdict is Verdict.BROKEN else "")
        refused = Verdict.FAIL in (judgement.verdict, named.verdict)  # one is enough
        open_ = not enough and not refused and judgement.verdict is not Verdict.BROKEN
        return judgement._replace(
            verdict=worst((judgement.verdict, named.verdict)),
            reason=reason,
            decided=(judgement.decided and not open_) or named.verdict in (Verdict.FAIL, Verdict.BROKEN),
            benchmarks=named,
        )

    return both


def _is_benchmark(name: str) -> bool:
    return name.startswith(BENCHMARK)


def _named(found: Reported | None, policy: Policy, end: _End) -> tuple[BenchmarkJudgement, bool]:
    """What is known of the benchmarks, and whether the pairs are enough."""
    if found is None:
        return BenchmarkJudgement(Verdict.BROKEN, reason="no run reported a benchmark"), True
    if found.problem:
        verdict = found.verdict if found.only_on_base or policy.benchmarks.required else Verdict.PASS
        return BenchmarkJudgement(verdict, only_on_base=found.only_on_base, reason=found.problem), True
    named = _judged(found, policy, end)
    return named, end.pairs >= first_look(len(found.common)) and _is_settled(named)


def _is_settled(named: BenchmarkJudgement) -> bool:
    """Whether more pairs would hardly tell more: of many benchmarks, some never settle."""
    open_ = sum(one.verdict is Verdict.INCONCLUSIVE for one in named.judged)
    return open_ <= _LEFT_OPEN * len(named.judged) and not any(one.probably for one in named.judged)


def first_look(many: int) -> int:
    """The number of pairs after which one of so many benchmarks can be called slower, though more may come."""
    needed = pairs_needed(many, FALSE * EARLY) if many else LOOKS[0]
    return next((look for look in LOOKS if look >= needed), LOOKS[-1])


def _judged(found: Reported, policy: Policy, end: _End) -> BenchmarkJudgement:
    metrics = {name: reported_benchmarks.limit(name, policy.benchmarks.limits) for name in found.values}
    many = len(found.common)
    fraction = end.part(first_look(many))
    needed = max(_FEWEST, pairs_needed(many, FALSE * (fraction or EARLY))) if many else 0
    tests = {name: _test(metrics[name], *found.values[name], found.groups) for name in found.common}
    judged = _answers(tests, fraction)
    judged |= {name: one for name, metric in metrics.items() if (one := _beyond(name, metric, found.values[name][1]))}
    answers = sorted(judged.values(), key=lambda one: (_ORDER.index(one.verdict), -(one.estimate or 0.0), one.name))
    return BenchmarkJudgement(
        _verdict(answers, found, policy),
        tuple(answers),
        found.only_on_base,
        found.only_on_head,
        reported_benchmarks.renamed(found.only_on_base, found.only_on_head),
        found.failed,
        _too_few(many, end.pairs, needed) if end.pairs < needed else "",
        needed,
    )


def _too_few(many: int, pairs: int, needed: int) -> str:
    need = f"{many} benchmark{'s need' if many != 1 else ' needs'}"
    return f"{pairs} pair{'s' * (pairs != 1)} of the {needed} that {need}"


def _verdict(answers: Sequence[Compared], found: Reported, policy: Policy) -> Verdict:
    """Some that stay undecided are usual among many; all of them, or where that blocks, are an answer."""
    blocks = policy.inconclusive == "block"
    verdicts = [Verdict.INCONCLUSIVE if blocks and one.probably else one.verdict for one in answers]
    open_ = verdicts.count(Verdict.INCONCLUSIVE)
    tolerated = open_ < len(verdicts) and not blocks
    counted = [one for one in verdicts if one is not Verdict.INCONCLUSIVE or not tolerated]
    return worst((*counted, *(one.verdict for one in found.failed)))


def _test(metric: Metric, base: Column, head: Column, groups: Sequence[int]) -> _Test:
    known = [number for number, both in enumerate(zip(base, head, strict=True)) if None not in both]
    both = [(one, other) for one, other in zip(base, head, strict=True) if one is not None and other is not None]
    of_known = tuple([groups[number] for number in known]) if groups else ()
    sample = Sample(tuple([log(one) for one, _ in both]), tuple([log(other) for _, other in both]), of_known)
    return _Test(metric, sample, sign_flip.p_above(sample, log1p(metric.tolerance)) if len(both) >= _FEWEST else 1.0)


def _answers(tests: Mapping[str, _Test], fraction: float) -> dict[str, Compared]:
    p_values = {name: test.p_slower for name, test in tests.items()}
    slower, probable = (believed(p_values, level * fraction) for level in (FALSE, PROBABLE))
    # Those that moved were chosen for it: of their intervals, MISS may leave the truth out (Benjamini, Yekutieli 2005).
    belief = _Belief(slower, probable, MISS * fraction, MISS / 2 * len(probable) / max(len(tests), 1))
    return {name: _answer(name, test, belief) for name, test in tests.items()}


def _answer(name: str, test: _Test, belief: _Belief) -> Compared:
    sample, verdict, low, high = test.sample, Verdict.INCONCLUSIVE, None, None
    pairs = len(sample.base)
    if not pairs:  # each side has it, in pairs in which the other has not
        return Compared(name, verdict, None, None, None, 0, None, None)
    # Of those that moved, what the test says; of hundreds that did not, what costs next to nothing.
    centre = median([head - base for base, head in zip(sample.base, sample.head, strict=True)])
    if name in belief.probable:  # and with it every one that is slower
        centre = sign_flip.centre(sample)
        blocks = name in belief.slower and centre >= log1p(test.metric.block)
        verdict = Verdict.FAIL if blocks else Verdict.WARN
        low, high = _interval(sample, centre, belief.each)
    elif pairs >= _FEWEST and sign_flip.p_below(sample, log1p(test.metric.block)) <= belief.miss:
        verdict = Verdict.PASS
    return Compared(
        name,
        verdict,
        _fraction(centre),
        low,
        high,
        pairs,
        test.p_slower if pairs >= _FEWEST else None,
        None,
        exp(median(sample.base)),
        exp(median(sample.head)),
        probably=name in belief.probable - belief.slower,
    )


def _interval(sample: Sample, centre: float, each: float) -> tuple[float | None, float | None]:
    """The changes that the test does not refute at the level `each` on either side; None: so few pairs refute none."""
    if 2.0 ** -len(sample.base) > each:
        return None, None
    differences = [head - base for base, head in zip(sample.base, sample.head, strict=True)]
    outer, inner = min(differences) - _EDGE, centre
    for _ in range(_HALVINGS):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if sign_flip.p_above(sample, middle) <= each else (outer, middle)
    low = outer
    outer, inner = max(differences) + _EDGE, centre
    for _ in range(_HALVINGS):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if sign_flip.p_below(sample, middle) <= each else (outer, middle)
    return _fraction(low), _fraction(outer)


def _fraction(change: float) -> float:
    return expm1(min(change, _LARGEST))


def _beyond(name: str, metric: Metric, head: Column) -> Compared | None:
    """A benchmark whose own value on head is out of its bounds, whatever base has."""
    values = [value for value in head if value is not None]
    if not values:
        return None
    middle = median(values)
    bounds = exact.within_bounds(metric, middle)
    if bounds.verdict is not Verdict.FAIL:
        return None
    return Compared(name, Verdict.FAIL, None, None, None, len(values), None, None, None, middle, bounds.reason)


def believed(p_values: Mapping[str, float], level: float) -> frozenset[str]:
    """The tests to believe at a false discovery rate of `level`."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    many = len(ordered)
    for rank in range(many, 0, -1):
        if p_values[ordered[rank - 1]] <= threshold(rank, many, level):
            return frozenset(ordered[:rank])
    return frozenset()


def threshold(rank: int, many: int, level: float) -> float:
    """What the p-value of that rank must not exceed, of so many tests."""
    reshaped = _ON_THE_FIRST + (1 - _ON_THE_FIRST) * rank / _harmonic(many)
    return level * reshaped / many


@lru_cache(maxsize=8)
def _harmonic(many: int) -> float:
    return sum(1 / rank for rank in range(1, many + 1))


def pairs_needed(many: int, level: float) -> int:
    """Pairs of runs from which on a sign-flip test can be believed, alone among so many."""
    return ceil(-log2(threshold(1, many, level)))
