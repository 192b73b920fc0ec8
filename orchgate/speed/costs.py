"""What processes cost and what tests said, under the names of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def costs_of(spent: Mapping[str, Any]) -> dict[str, float]:
    """What processes cost, under the names of metrics; what was not measured is left out."""
    costs = {"cpu_seconds": round(spent["user_seconds"] + spent["system_seconds"], 6)}
    names = ("wall_seconds", "max_rss_bytes", "read_bytes", "written_bytes", "processes")
    costs |= {name: spent[name] for name in names if spent[name] is not None}
    if "tree_rss_bytes" in spent and "max_rss_bytes" in costs:
        # At some moment all of them held at least what the largest did, whether a sample met it or not.
        costs["tree_rss_bytes"] = max(spent["tree_rss_bytes"] or 0, spent["max_rss_bytes"])
    return costs


def tests(counted: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Tests passed, and the fraction of those that could have; nothing where none were counted."""
    if not counted:
        return {}
    passed = sum(one.get("passed", 0) for one in counted)
    failed = sum(one.get("failed", 0) + one.get("errors", 0) for one in counted)
    return {"tests_passed": passed, **({"test_pass_rate": passed / (passed + failed)} if passed + failed else {})}
