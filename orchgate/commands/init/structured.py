"""TOML and JSON files, changed as data: tomlkit keeps every comment and space, JSON keeps its indentation."""

from __future__ import annotations

import copy
import json
import re

from orchgate.commands.init.yaml_text import AGAIN, edited_flow, is_undecodable
from orchgate.errors import OrchgateError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_INDENT = lazy(r"^([ \t]+)\S", re.MULTILINE)


def changed(path: str, text: str, change: Callable[[Any], None]) -> str:
    """The file after a change of its data. Raises OrchgateError with file, line and column."""
    if is_undecodable(text):
        raise OrchgateError(f"{path}: holds bytes that are not UTF-8", AGAIN)
    return _toml(path, text, change) if path.endswith(".toml") else _json(path, text, change)


def _toml(path: str, text: str, change: Callable[[Any], None]) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        data = tomlkit.parse(text)
        change(data)
        return tomlkit.dumps(data)
    except (TOMLKitError, TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        place = f":{line}:{getattr(error, 'col', 1)}" if (line := getattr(error, "line", None)) else ""
        said = str(error).partition(" at line ")[0] if place else "it has a form that orchgate cannot change"
        raise OrchgateError(
            f"{path}{place}: is not valid TOML: {said}" if place else f"{path}: {said}", AGAIN
        ) from error


def _json(path: str, text: str, change: Callable[[Any], None]) -> str:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise OrchgateError(f"{path}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}", AGAIN) from error
    except RecursionError as error:
        raise OrchgateError(f"{path}: is nested too deeply to be edited", AGAIN) from error
    before = copy.deepcopy(data)
    try:
        change(data)
    except (TypeError, AttributeError, KeyError) as error:
        raise OrchgateError(f"{path}: has a form that orchgate cannot change", AGAIN) from error
    inserted = edited_flow(text, before, data)
    if inserted is not None and json.loads(inserted) == data:
        return inserted
    found = _INDENT.search(text)
    made = json_text(data, found[1] if found else ("  " if "\n" in text.strip() or len(text) < 8 else None))
    made = made if text.endswith("\n") else made.removesuffix("\n")
    return made.replace("\n", "\r\n") if "\r\n" in text else made


def json_text(data: object, indent: str | None = "  ") -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"
