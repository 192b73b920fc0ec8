"""What the units of a scan add up to, in room that does not grow with them."""

from __future__ import annotations

import heapq

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.scan.values import UnitResult

WORST = 10  # units that the summary names
_RANK = {one.value: rank for rank, one in enumerate(Verdict)}


class ScanSummary:
    """Added up unit by unit, in their order."""

    def __init__(self) -> None:
        self.units = 0
        self.seconds = 0.0
        self.verdicts: dict[str, int] = {}
        self.unjudged = 0  # units of which something could not be judged,
        self.problems: list[tuple[str, str]] = []  # the first of them, and why
        self._rules: dict[str, list[int]] = {}  # findings, units, refused units
        self._worst: list[tuple[tuple[int, int, int, int], dict[str, object]]] = []

    def add(self, one: UnitResult) -> None:
        self.verdicts[one.verdict] = self.verdicts.get(one.verdict, 0) + 1
        self.unjudged += bool(one.error) or one.verdict in (Verdict.BROKEN.value, Verdict.INCONCLUSIVE.value)
        self.seconds += one.seconds
        if one.error and len(self.problems) < WORST:
            self.problems.append((one.unit, one.error))
        for rule, count in one.rules.items():
            counted = self._rules.setdefault(rule, [0, 0, 0])
            counted[0] += count
            counted[1] += 1
            counted[2] += rule in one.errors
        errors, found = sum(one.errors.values()), sum(one.rules.values())
        if _RANK[one.verdict]:
            key = (_RANK[one.verdict], errors, found, -self.units)  # of equals the first one
            named = {"unit": one.unit, "verdict": one.verdict, "error_count": errors, "finding_count": found}
            heapq.heappush(self._worst, (key, named))
            if len(self._worst) > WORST:
                heapq.heappop(self._worst)
        self.units += 1

    @property
    def exit_code(self) -> int:
        """1 where a unit is refused, else 3 where something could not be judged, else 0."""
        if self.verdicts.get(Verdict.FAIL.value):
            return Verdict.FAIL.exit_code
        return Verdict.BROKEN.exit_code if self.unjudged else Verdict.PASS.exit_code

    def rules(self) -> list[Mapping[str, Any]]:
        """Every rule that was found, those that refuse most units first."""
        order = sorted(self._rules.items(), key=lambda one: (-one[1][2], -one[1][1], -one[1][0], one[0]))
        return [
            {
                "rule": rule,
                "unit_count": units,
                "unit_rate": units / self.units,
                "refused_unit_count": refused,
                "finding_count": found,
            }
            for rule, (found, units, refused) in order
        ]

    def worst(self) -> list[Mapping[str, Any]]:
        """The units with the worst verdicts, and of those the ones with most findings."""
        return [named for _, named in sorted(self._worst, key=lambda one: one[0], reverse=True)]

    def facts(self) -> dict[str, Any]:
        return {
            "unit_count": self.units,
            "verdicts": {one.value: self.verdicts[one.value] for one in Verdict if one.value in self.verdicts},
            "unjudged_unit_count": self.unjudged,
            "rules": self.rules(),
            "worst": self.worst(),
            "seconds": self.seconds,
        }
