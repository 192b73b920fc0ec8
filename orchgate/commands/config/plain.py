"""Values of a configuration as JSON has them."""

from __future__ import annotations


def plain(value: object) -> object:
    """A value as JSON has it; a table without what is not set in it."""
    if hasattr(value, "_asdict"):
        found = {name.replace("_", "-"): one for name, one in value._asdict().items() if one not in (None, "", (), {})}
        return plain(found)
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple) else value
