"""JSON that others wrote: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
from typing import Any

from orchgate.lib import files


def parse(data: bytes | str) -> Any:
    """The value that JSON holds. Raises ValueError, also for what is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(path: str, limit: int) -> Any:
    """The value in a regular file of at most `limit` bytes. Raises OSError, ValueError."""
    return parse(files.read(path, limit))
