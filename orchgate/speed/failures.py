"""What it means for a comparison that a side fails: an error of that side, and never "slower"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError
from orchgate.model import Verdict
from orchgate.verdict.values import Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.sampling import Failure, MeasuredRun


class BothFail(OrchgateError):
    """The pipeline can be run neither at base nor at head. `stages` are base's."""

    def __init__(self, message: str, hint: str, stages: Sequence[Stage]) -> None:
        super().__init__(message, hint)
        self.stages = tuple(stages)


def judgement(failures: Sequence[Failure], passed: frozenset[str] | set[str]) -> Judgement:
    """The verdict over sides that cannot be measured. `passed` are the labels of those that ran well at least once.

    Head is refused only where base did what head fails to do; everything else is nobody's verdict on head.
    """
    by_side = {failure.side: failure for failure in failures}
    if len(by_side) > 1:
        base, head = by_side["base"], by_side["head"]
        same = base.stage == head.stage and base.detail == head.detail
        rest = " on base and on head alike" if same else f" on head; on base {_words(base)}"
        return Judgement(Verdict.BROKEN, decided=True, reason=f"{_words(head)}{rest}{_said(head)}")
    (failure,) = by_side.values()
    if failure.side in passed:
        reason = f"{_words(failure)} again and again on {failure.side}, after it had passed there{_said(failure)}"
        return Judgement(Verdict.BROKEN, decided=True, reason=reason)
    other = "head" if failure.side == "base" else "base"
    reason = f"{_words(failure)} on {failure.side}" + (f", passes on {other}" if other in passed else "")
    refused = failure.side == "head" and other in passed
    return Judgement(Verdict.FAIL if refused else Verdict.BROKEN, decided=True, reason=reason + _said(failure))


def unsteady(judgement: Judgement, ended: int) -> Judgement:
    """The verdict where head was ended in so many pairs and then finished: those do not count, so it cannot pass."""
    if judgement.verdict in (Verdict.FAIL, Verdict.BROKEN):
        return judgement
    reason = f"in {ended} pairs head was ended far beyond what base takes, and finished when it ran again"
    return judgement._replace(verdict=Verdict.INCONCLUSIVE, decided=False, reason=reason)


def advice(failures: Sequence[Failure]) -> str:
    """What is often forgotten where the same goes wrong on both sides; "" elsewhere."""
    if len({failure.side for failure in failures}) < 2 or any(failure.stage == "prepare" for failure in failures):
        return ""
    return (
        "what git ignores (node_modules, .venv, …) and sub-repositories are not in these trees: "
        "performance.setup can put them there"
    )


def _words(failure: Failure) -> str:
    verb = "fails" if failure.stage == "prepare" else f"stage {failure.stage} fails"
    return f"{'prepare ' if failure.stage == 'prepare' else ''}{verb} ({failure.detail})"


def _said(failure: Failure) -> str:
    return f": {failure.last_line}" if failure.last_line else ""


def notes(samples: Sequence[tuple[MeasuredRun, MeasuredRun]]) -> list[str]:
    """Lines for people about what was not compared."""
    tolerated = {(one.side, one.stage, one.detail): None for pair in samples for ran in pair for one in ran.tolerated}
    lines = [f"stage {stage} fails on {label}, which is allowed ({detail})" for label, stage, detail in tolerated]
    if samples and all(ran.hidden_memory for pair in samples for ran in pair if not ran.failure):
        lines.append("memory is not judged: both sides take less than orchgate itself, and less is not seen")
    failed = {label: sum(pair[at].failure is not None for pair in samples) for at, label in enumerate(("base", "head"))}
    lines += [f"{count} of {len(samples)} runs of {label} failed" for label, count in failed.items() if count]
    return lines + list(dict.fromkeys(line for pair in samples for ran in pair for line in ran.notes))


def as_json(failure: Failure) -> dict[str, str]:
    """A failed run in the words of `schemas/perf.json` and `schemas/baseline-report.json`."""
    return {"side": failure.side, "stage": failure.stage, "detail": failure.detail, "said": failure.last_line}
