"""Hints that take a search, such as "did you mean docs/plan.md?": for the first findings of a run, and no more.

They are looked for when everything is judged, so that it makes no difference which process judged what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.gate.context import Context
    from orchgate.model import Check, CheckResult, Diagnostic

MOST = 20  # nobody fixes more at a time, and comparing names letter by letter is slow


def suggested(results: Iterable[CheckResult], checks: Mapping[str, Check], ctx: Context) -> Iterator[CheckResult]:
    """The results in order, with better hints for the first findings that look for one and are not suppressed."""
    left = MOST
    for result in results:
        wanted = [at for at, one in enumerate(result.diagnostics) if one.finding.sought and one.suppressed is None]
        chosen = wanted[:left]
        left -= len(chosen)
        make = checks[result.id].suggest if chosen else None
        yield result if make is None else _better(result, chosen, make(ctx))


def _better(result: CheckResult, chosen: list[int], suggest: Callable[[tuple[str, ...]], str]) -> CheckResult:
    diagnostics = list(result.diagnostics)
    for at in chosen:
        diagnostics[at] = _hinted(diagnostics[at], suggest)
    return result._replace(diagnostics=tuple(diagnostics))


def _hinted(diagnostic: Diagnostic, suggest: Callable[[tuple[str, ...]], str]) -> Diagnostic:
    finding = diagnostic.finding
    try:
        hint = suggest(finding.sought)
    except OrchgateError:  # what cannot be read any more suggests nothing
        hint = ""
    return diagnostic._replace(finding=finding._replace(hint=hint)) if hint else diagnostic
