"""Hints that take a search, such as "did you mean docs/plan.md?": for the first findings of a run, and no more.

They are looked for when everything is judged, so that it makes no difference which process judged what.
"""

from __future__ import annotations

from collections import Counter

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.gate.context import Context
    from orchgate.model import Check, CheckResult, Diagnostic

MOST = 20  # nobody fixes more at a time, and comparing names letter by letter is slow


class Printed(NamedTuple):
    """What of a report is printed: `most` findings of a rule, the heaviest first (0: all), of these `severities`."""

    most: int = 0
    severities: tuple[Severity, ...] = tuple(Severity)

    def among(self, diagnostics: Sequence[Diagnostic]) -> list[int]:
        """Which findings, in their order."""
        counted = [(at, one) for at, one in enumerate(diagnostics) if one.counts]
        if not self.most and len(self.severities) == len(Severity):
            return [at for at, _ in counted]
        seen: Counter[str] = Counter()
        found: list[int] = []
        for severity in self.severities:
            for at, one in counted:
                if one.severity is severity:
                    seen[one.finding.rule] += 1
                    if not self.most or seen[one.finding.rule] <= self.most:
                        found.append(at)
        return sorted(found)


EVERYTHING = Printed()


def suggested(
    results: Iterable[CheckResult], checks: Mapping[str, Check], ctx: Context, printed: Printed = EVERYTHING
) -> Iterator[CheckResult]:
    """The results in order, with better hints for the first findings that look for one and are printed."""
    left = MOST
    for result in results:
        current = result.current
        looking = any(one.finding.sought for one in current)
        wanted = [at for at in printed.among(current) if current[at].finding.sought] if looking else []
        chosen = wanted[:left]
        left -= len(chosen)
        make = checks[result.id].suggest if chosen else None
        yield result if make is None else _better(result, chosen, make(ctx))


def _better(result: CheckResult, chosen: list[int], suggest: Callable[[tuple[str, ...]], str]) -> CheckResult:
    diagnostics = list(result.current)
    for at in chosen:
        diagnostics[at] = _hinted(diagnostics[at], suggest)
    return result.with_current(tuple(diagnostics))


def _hinted(diagnostic: Diagnostic, suggest: Callable[[tuple[str, ...]], str]) -> Diagnostic:
    finding = diagnostic.finding
    try:
        hint = suggest(finding.sought)
    except OrchgateError:  # what cannot be read any more suggests nothing
        hint = ""
    return diagnostic._replace(finding=finding._replace(hint=hint)) if hint else diagnostic
