"""How tests ended: counts of every outcome, and the names of those that failed, as far as anybody reads them."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

MOST_NAMED = 50  # failed tests of a stage
LONGEST_NAME = 200  # characters of one
SEVERAL = "several"
_LOOKED_AT = 4_096  # characters of a name, for a secret that the cut would leave half of


class ResultsError(OrchgateError):
    """One file of results that cannot be counted. The message goes on from its path: "is empty"."""


class CountedTests(NamedTuple):
    """How tests ended. `source` is one of the words that the manifest's schema has for it.

    `flaky` are those that passed after they had failed in the same run; they are among the passed. `failing` names the
    first of those that failed or ended in an error.
    """

    passed: int
    failed: int
    skipped: int
    errors: int
    source: str
    flaky: int = 0
    failing: tuple[str, ...] = ()

    def plus(self, other: CountedTests) -> CountedTests:
        """The sum, in which a test that both name is one of each."""
        return CountedTests(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.errors + other.errors,
            self.source if self.source == other.source else SEVERAL,
            self.flaky + other.flaky,
            (*self.failing, *other.failing)[:MOST_NAMED],
        )

    def counts(self) -> dict[str, int | str]:
        """What a record of the stage has under `tests`: names are beside it."""
        shown: dict[str, int | str] = dict(zip(self._fields, self[:5], strict=False))
        return shown | ({"flaky": self.flaky} if self.flaky else {})

    def fields(self) -> dict[str, Any]:
        """The fields of an event that tell of these tests."""
        return {"tests": self.counts(), **({"failed_tests": list(self.failing)} if self.failing else {})}

    def stored(self) -> dict[str, Any]:
        """Everything as JSON can hold it, as `restored` reads it."""
        return self.counts() | ({"failing": list(self.failing)} if self.failing else {})


def restored(stored: dict[str, Any]) -> CountedTests:
    """Raises TypeError for what `stored` did not give."""
    return CountedTests(**{**stored, "failing": tuple(stored.get("failing", ()))})


class Tally:
    """Adds up tests one by one."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "error": 0}
        self.flaky = 0
        self.failing: list[str] = []

    def add(self, outcome: str, name: str = "", *, flaky: bool = False) -> None:
        """One test: `outcome` is passed, failed, skipped or error."""
        self.counts[outcome] += 1
        if outcome in ("failed", "error"):
            if len(self.failing) < MOST_NAMED:
                self.failing.append(shown_name(name))
        elif flaky and outcome == "passed":
            self.flaky += 1

    def total(self) -> int:
        return sum(self.counts.values())

    def tests(self, source: str) -> CountedTests:
        counts = self.counts
        ended = (counts["passed"], counts["failed"], counts["skipped"], counts["error"])
        return CountedTests(*ended, source, self.flaky, tuple(self.failing))


def shown_name(name: str) -> str:
    """A test's name as it is recorded: on one line, without secrets, and not too long."""
    from orchgate.secrets.redact import redacted

    name = name[:_LOOKED_AT]
    if not name.isprintable():
        name = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
    name = redacted(name).strip() or "(no name)"
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def joined_name(group: str, name: str) -> str:
    """`tests.test_a::test_b`; the group is left out where the name begins with it, as jest repeats it."""
    group, name = group.strip(), name.strip()
    return name if not group or name.startswith(group) else f"{group}::{name}" if name else group
