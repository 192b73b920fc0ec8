"""Which names a file defines: npm scripts, make targets, nox sessions, pre-commit hooks, pipelines.

Each reader takes the bytes of the file. Where the file may define more than can be read from it (`include`, computed
names) the result is `open`, and no name counts as missing.
"""

from __future__ import annotations

import re

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ast
    from collections.abc import Mapping

MAX_BYTES = 4 * 1024 * 1024
FIX = "fix the file, then check again"
TOO_DEEP = "is nested too deeply"


class DefinedNames(NamedTuple):
    """What a file defines. `open`: it may define more than these; `also`: names that exist for another reason."""

    defined: tuple[str, ...]
    open: bool = False
    also: frozenset[str] = frozenset()


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _table(path: str, data: bytes) -> Mapping[str, object]:
    """A JSON object."""
    from orchgate.lib import json_data

    try:
        value = json_data.parse(_text(path, data))
    except json_data.TooDeepError as error:
        raise Unreadable(path, TOO_DEEP, FIX) from error
    except ValueError as error:
        raise Unreadable(path, f"is not valid JSON: {error}", FIX) from error
    if not isinstance(value, dict):
        raise Unreadable(path, "is not a JSON object")
    return value


def npm_scripts(path: str, data: bytes) -> DefinedNames:
    """Scripts of a package.json; `also` are its dependencies, whose programs yarn and pnpm run by name."""
    package = _table(path, data)
    scripts = package.get("scripts", {})
    if not isinstance(scripts, dict):
        raise Unreadable(path, '"scripts" is not an object')
    parts = [
        package.get(key) for key in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
    ]
    others = frozenset(name.rpartition("/")[2] for part in parts if isinstance(part, dict) for name in part)
    return DefinedNames(tuple(scripts), also=others)


_RULE_LINE = lazy(r"^ *([^\s#:=][^#:=\n]*?)\s*&?::?(?![:=])", re.MULTILINE)
_COMPUTED = lazy(r"^[ ]*(?:-?include|sinclude|load)\b|^[ ]*\$[({]|^\.DEFAULT\s*:|\$[({]eval\b", re.MULTILINE)
_DEFINE = lazy(r"^ *define\b.*?^ *endef\b", re.MULTILINE | re.DOTALL)
_PHONY = lazy(r"^ *\.PHONY\s*:([^\n#]*)", re.MULTILINE)


def make_targets(path: str, data: bytes) -> DefinedNames:
    """Targets of a makefile. Pattern rules, includes and targets made of variables leave the result open."""
    text = re.sub(r"\\\r?\n", " ", _text(path, data))
    computed = bool(_COMPUTED.search(text))
    if "endef" in text:
        text = _DEFINE.sub("", text)
    targets: dict[str, None] = {}
    for match in _RULE_LINE.finditer(text):
        targets.update(dict.fromkeys(match[1].split()))
    for match in _PHONY.finditer(text):
        targets.update(dict.fromkeys(match[1].split()))
    names = tuple(name for name in targets if not name.startswith("."))
    return DefinedNames(
        tuple(name for name in names if "%" not in name and "$" not in name),
        open=computed or any("%" in name or "$" in name for name in names),
    )


def nox_sessions(path: str, data: bytes) -> DefinedNames:
    """Sessions of a noxfile. Sessions made by a call of `nox.session` or by an import leave the result open."""
    import ast

    try:
        tree = ast.parse(_text(path, data))
    except (SyntaxError, ValueError) as error:
        raise Unreadable(path, f"is not valid Python: {error}", FIX) from error
    except (RecursionError, MemoryError) as error:
        raise Unreadable(path, TOO_DEEP, FIX) from error
    names: list[str] = []
    is_open = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body)
    decorators: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                decorators.add(id(decorator))
                name = _session_name(decorator, node.name)
                is_open = is_open or name is None
                names.extend([name] if name else [])
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in decorators)
    return DefinedNames(tuple(names), open=is_open or any(_is_session(call.func) for call in calls))


def _is_session(node: ast.expr) -> bool:
    import ast

    return (isinstance(node, ast.Attribute) and node.attr == "session") or (
        isinstance(node, ast.Name) and node.id in ("session", "nox_session")
    )


def _session_name(decorator: ast.expr, function: str) -> str | None:
    """The name a decorator gives its function; "" when it makes no session, None when it is computed."""
    import ast

    call = decorator if isinstance(decorator, ast.Call) else None
    if not _is_session(call.func if call else decorator):
        return ""
    for keyword in call.keywords if call else ():
        if keyword.arg == "name" or keyword.arg is None:
            value = keyword.value
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return function


_HOOK_ID = lazy(r"(?:^|[\s{,-])['\"]?(?:id|alias)['\"]?[ \t]*:[ \t]*['\"]?([^\s'\"#,}]+)", re.MULTILINE)


def hook_ids(path: str, data: bytes) -> DefinedNames:
    """Hook ids and aliases of a .pre-commit-config.yaml. Reads more than a YAML parser would rather than less."""
    text = "\n".join(line for line in _text(path, data).split("\n") if not line.lstrip().startswith("#"))
    return DefinedNames(tuple(dict.fromkeys(_HOOK_ID.findall(text))))


def codex_pipelines(path: str, data: bytes) -> DefinedNames:
    """Pipelines of a codex.orchestrator.json; `rlm` comes with the tool."""
    pipelines = _table(path, data).get("pipelines", [])
    if not isinstance(pipelines, list):
        raise Unreadable(path, '"pipelines" is not an array')
    found = [entry.get("id") for entry in pipelines if isinstance(entry, dict)]
    return DefinedNames(tuple(name for name in found if isinstance(name, str)), also=frozenset({"rlm"}))
