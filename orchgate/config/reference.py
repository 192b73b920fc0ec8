"""What the declarations of all keys add up to: the JSON schema, and the page of the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.config.faults import as_toml, dotted
from orchgate.config.keys import CHANGE, EXTEND, FEWER, MORE, ONCE_SET, Key, every, fields
from orchgate.config.load import declared, renames
from orchgate.config.settings import SECTIONS
from orchgate.config.tables import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.faults import At


def schema() -> dict[str, object]:
    """Draft 2020-12 schema of `orchgate.toml`. Old names are in it as deprecated."""
    top = _properties(SECTIONS[""])
    for name, table in declared().items():
        if name:
            top[name] = _object(table)
    for old, new in renames(declared()).items():
        _add_old(top, old, new)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:orchgate:schema:config-v1",
        "title": "orchgate configuration: orchgate.toml, or [tool.orchgate] in pyproject.toml",
        "type": "object",
        "properties": top,
        "additionalProperties": False,
    }


def _object(table: Any) -> dict[str, Any]:
    return {"type": "object", "properties": _properties(table), "additionalProperties": False}


def _properties(table: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, one in fields(table).items():
        name = field.replace("_", "-")
        if isinstance(one, Key):
            found[name] = {**one.kind.schema(), "description": one.help}
            if one.extendable:
                found[EXTEND + name] = {"type": "array", "description": f"more of {name}"}
        else:
            found[name] = _object(one.table)
    return found


def _add_old(top: dict[str, Any], old: At, new: At) -> None:
    *tables, name = old
    properties = top
    for table in tables:
        properties = properties[str(table)]["properties"]
    properties[str(name)] = {"deprecated": True, "description": f"is {dotted(new)} now"}


INTRODUCTION = """\
# Configuration

`orchgate.toml` at the top of the repository, or the same tables under `[tool.orchgate]` in `pyproject.toml`. Everything
has a default; an empty file is fine. `orchgate config show` prints what is in force and where it comes from,
`orchgate config migrate` renames old keys. This page is made from the declarations (`orchgate config reference`).

A change is judged by the configuration of its base. The last column says which edit of a key is reported as a loosening
(CFG001): more of it, less of it, or any change. A key that is marked + is a list that `extend-NAME` adds to, so that
the defaults stay.
"""
_LOOSER = {MORE: "more", FEWER: "less", CHANGE: "any change", ONCE_SET: "any change once it is set"}


def page() -> str:
    """docs/configuration.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    tables = declared()
    for name in ("", *sorted(filter(None, tables))):
        yield f"## `[{name}]`" if name else "## At the top"
        if name not in SECTIONS:
            yield f"\nOf the check `{name_of(tables[name])}`."
        yield "\n| key | default | what it is | loosened by |\n|---|---|---|---|"
        for path, one in every(tables[name]):
            mark = " +" if one.extendable else ""
            was = f" (was `{one.was}`)" if one.was else ""
            cells = (f"`{dotted(path)}`{mark}", _default(one), one.help + was, _LOOSER.get(one.looser, ""))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield ""


def _default(one: Key) -> str:
    return f"`{as_toml(one.default, 160)}`" if one.default not in ("", (), {}) else ""
