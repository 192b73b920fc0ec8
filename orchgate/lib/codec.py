"""What is used of msgspec, loaded without `typing_extensions`.

On the Pythons that we support, msgspec needs nothing of it that `typing` does not have, and falls back to that; with it
come `inspect` and the tokenizer, a quarter of what a short command takes.
"""

from __future__ import annotations

import sys

_NAME = "typing_extensions"
_loaded = sys.modules.get(_NAME)
if _loaded is None:
    sys.modules[_NAME] = None  # type: ignore[assignment]  # makes an import of it fail
try:
    from msgspec import Meta, MsgspecError, Raw, Struct, ValidationError, json
    from msgspec.structs import astuple
finally:
    if _loaded is None:
        del sys.modules[_NAME]

__all__ = ("Meta", "MsgspecError", "Raw", "Struct", "ValidationError", "astuple", "json")
