"""A push that costs more may land for a reason that everybody sees: `Performance-Override`, as trailer or variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.model import Finding, Location, Severity, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.git.messages import Exceptions

RULE = "PRF008"
TRAILER = "Performance-Override"
VARIABLE = "ORCHGATE_PERFORMANCE_OVERRIDE"
LIFTED = ("PRF001", "PRF002", "PRF003", "PRF004", "PRF005", "PRF006", "PRF007")


class Override(NamedTuple):
    """Why a change may cost more, and where that is said, for people."""

    reason: str
    source: str


def found(environ: Mapping[str, str], exceptions: Exceptions | None) -> Override | None:
    """What excuses the whole change. A reason without a letter or digit is none. Raises GitError."""
    variable = environ.get(VARIABLE, "").strip()
    if any(character.isalnum() for character in variable):
        return Override(variable, VARIABLE)
    whole = exceptions.whole(TRAILER) if exceptions else None
    return Override(whole.text, f"{TRAILER}, {whole.source}") if whole else None


def lifted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, of which none refuses any more, whatever their rules are configured to weigh."""
    return tuple(
        one._replace(severity=Severity.WARNING if one.severity is Severity.ERROR else one.severity, lifted=True)
        if one.rule in LIFTED
        else one
        for one in findings
    )


def used(override: Override, findings: Iterable[Finding]) -> Finding:
    """PRF008, shown even where nothing needed the override: it may have been left on. `findings` as they were."""
    number = sum(map(_refuses, findings))
    what = f"{number} finding{'s' * (number != 1)} lifted" if number else "nothing needed it"
    return Finding(RULE, Location(""), f"override: {override.reason} ({override.source}); {what}")


def in_vain(exceptions: Exceptions, way_out: Callable[[], Step]) -> Iterator[Finding]:
    """PRF008 for reasons that only came along with a merge: a pipeline is measured as a whole, they excuse nothing."""
    for one in exceptions.reasons(TRAILER):
        if one.merge:
            why = "a pipeline is measured as a whole, and no merge excuses it"
            message = f"override that does not count: {one.text} ({TRAILER}, {one.source}): {why}"
            yield Finding(RULE, Location(""), message, steps=(way_out(),))


def hinted(findings: Iterable[Finding], way_out: Callable[[], Step]) -> Iterator[Finding]:
    """The findings; those that refuse say how to give a reason."""
    for one in findings:
        yield one._replace(steps=(*one.steps, way_out())) if _refuses(one) else one


def _refuses(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR and finding.rule in LIFTED


def way_out(*, staged: bool, checked_out: bool) -> Step:
    """The command with which a person gives a reason; as it stands it gives none."""
    command = f"{VARIABLE}='…' git push"
    if staged or checked_out:
        command = f"git commit {'' if staged else '--amend --no-edit '}--trailer '{TRAILER}: …'"
    return Step("to land it for a reason", command)
