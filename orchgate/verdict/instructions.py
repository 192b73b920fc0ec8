"""What counted instructions decide where CPU time cannot: they are the same every time, on every machine of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.model import Verdict, worst
from orchgate.verdict import words
from orchgate.verdict.sequential import HINT, PRIMARY, SECOND
from orchgate.verdict.values import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.verdict.values import Compared, Judgement, Metric, Policy

REPEATS = 2  # runs of each side
_AGREE = 0.001  # of the larger one, by which counts of the same program may differ
_OPEN = (Answer.CANNOT_TELL, Answer.PROBABLY_SLOWER)
_OF_TIME = ("estimate", "low", "high", "p", "smallest_effect", "pairs_missing")


class Instructions(NamedTuple):
    """How many instructions a run of each side takes."""

    base: int
    head: int

    @property
    def change(self) -> float:
        """As a fraction of base."""
        return self.head / self.base - 1


def agreed(counts: Sequence[int]) -> int | None:
    """The count of which these are repeats; None where they are none."""
    return min(counts) if max(counts) - min(counts) <= _AGREE * max(counts) else None


def is_asked(judgement: Judgement) -> bool:
    """Whether CPU time is left open that was measured whole, and nothing else was refused."""
    return judgement.verdict is not Verdict.FAIL and any(
        one.name == PRIMARY and one.answer in _OPEN and (one.base_lower_bound, one.head_lower_bound) == (None, None)
        for one in judgement.metrics
    )


def decided(judgement: Judgement, found: Instructions, policy: Policy) -> Judgement:
    """The judgement with CPU time decided by instructions; what else is open stays so."""
    verdict = _verdict(found.change, policy.metrics[PRIMARY])
    fields: dict[str, Any] = dict.fromkeys(_OF_TIME)
    fields |= {"verdict": verdict, "probably": False}
    fields["reason"] = f"instructions {words.percent(found.change)}, counted twice"
    metrics = tuple(one._replace(**fields) if one.name == PRIMARY else one for one in judgement.metrics)
    verdicts = [_counts_as(one, policy) for one in metrics if not _is_second(one, verdict, policy)]
    named = [judgement.benchmarks.verdict] if judgement.benchmarks else []
    whole = worst([*verdicts, *(one.verdict for one in judgement.counters), *named])
    return judgement._replace(verdict=whole, metrics=metrics, decided=whole is not Verdict.INCONCLUSIVE)


def _verdict(change: float, metric: Metric) -> Verdict:
    if change >= metric.block:
        return Verdict.FAIL
    return Verdict.WARN if change > metric.tolerance else Verdict.PASS


def _counts_as(one: Compared, policy: Policy) -> Verdict:
    """Where what is undecided blocks, what is only probable does too."""
    return Verdict.INCONCLUSIVE if one.probably and policy.inconclusive == "block" else one.verdict


def _is_second(one: Compared, first: Verdict, policy: Policy) -> bool:
    """Whether wall time stays open without a hint that it grew, beside CPU time that has passed."""
    return (
        one.name == SECOND
        and first is Verdict.PASS
        and policy.inconclusive != "block"
        and one.answer is Answer.CANNOT_TELL
        and one.p is not None
        and one.p > HINT
    )
