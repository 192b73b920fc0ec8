"""What processes cost and what tests said, under the names of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.measures import declared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def costs_of(spent: Mapping[str, Any]) -> dict[str, float]:
    """What processes cost, under the names of metrics; what was not measured is left out."""
    found = {one.name: one.of(spent) for one in declared.every() if one.of is not None}
    return {name: value for name, value in found.items() if value is not None}


def tests(counted: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Tests passed, and the fraction of those that could have; nothing where none were counted."""
    if not counted:
        return {}
    passed = sum(one.get("passed", 0) for one in counted)
    failed = sum(one.get("failed", 0) + one.get("errors", 0) for one in counted)
    return {"tests_passed": passed, **({"test_pass_rate": passed / (passed + failed)} if passed + failed else {})}
