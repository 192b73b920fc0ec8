"""Reads the version that a file carries, by what kind of file it is, and says which of two is the later one."""

from __future__ import annotations

import re

from orchgate.errors import TooLarge, Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping

MAX_BYTES = 4 * 1024 * 1024
TOO_DEEP = "is nested too deeply"
MAX_LENGTH = 200  # characters of a version
_NAMES = ("__version__", "version", "VERSION", "__VERSION__")


def read(path: str, data: bytes) -> dict[str, str]:
    """The versions a file carries, by key: {"project.version": "1.2.0"}; {} when it carries none.

    A version that is computed, inherited from a workspace or declared dynamic is not carried. Raises Unreadable.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(path, f"is larger than {MAX_BYTES} bytes")
    name = path.rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in ("py", "pyi"):
        return {key: _checked(path, key, value) for key, value in _python(path, data).items()}
    text = _text(path, data)
    if name.upper() in ("VERSION", "VERSION.TXT", "VERSION.MD"):
        return _whole_file(path, text)
    reader = _READERS.get(suffix)
    found = reader(path, text) if reader else _first_line(text)
    return {key: _checked(path, key, value) for key, value in found.items()}


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _checked(path: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise Unreadable(path, f"holds a {key} that is not a string")
    if len(value) > MAX_LENGTH:
        raise Unreadable(path, f"holds a {key} of {len(value)} characters")
    return value


def _whole_file(path: str, text: str) -> dict[str, str]:
    """A VERSION file is its version, whatever form that has."""
    value = " ".join(text[: 4 * MAX_LENGTH].split())
    return {"version": _checked(path, "version", value)} if value else {}


def _toml(path: str, text: str) -> dict[str, object]:
    """pyproject.toml and Cargo.toml; in any other TOML file `version` at the top."""
    if "version" not in text and "\\" not in text:  # an escaped key is a key too
        return {}
    import tomllib

    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise Unreadable(path, f"is not valid TOML: {_short(error)}") from error
    except RecursionError as error:
        raise Unreadable(path, TOO_DEEP) from error
    name = path.rpartition("/")[2]
    found: dict[str, object] = {}
    for key in _TOML_KEYS.get(name, (("version",),)):
        value = _inside(table, key)
        if value is not None and not (isinstance(value, dict) and "workspace" in value):
            found[".".join(key)] = value
    return found


_TOML_KEYS = {
    "pyproject.toml": (("project", "version"), ("tool", "poetry", "version")),
    "Cargo.toml": (("package", "version"), ("workspace", "package", "version")),
}


def _inside(table: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        if not isinstance(table, dict):
            return None
        table = table.get(key)
    return table


class _Twice:
    """A key that an object holds twice; programs disagree about which one counts."""


def _json(path: str, text: str) -> dict[str, object]:
    if "version" not in text and "\\" not in text:
        return {}
    from orchgate.lib import json_data

    try:
        value = json_data.parse(text, object_pairs_hook=_object)
    except json_data.TooDeepError as error:
        raise Unreadable(path, TOO_DEEP) from error
    except ValueError as error:
        raise Unreadable(path, f"is not valid JSON: {_short(error)}") from error
    if not isinstance(value, dict):
        raise Unreadable(path, "is not a JSON object")
    version = value.get("version")
    if isinstance(version, _Twice):
        raise Unreadable(path, "holds version twice")
    return {"version": version} if "version" in value else {}


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if sum(key == "version" for key, _ in pairs) > 1:
        made["version"] = _Twice()
    return made


_ASSIGNED = lazy(r"\b(?:__version__|version|VERSION|__VERSION__)\s*(?::[^=\n]{0,80})?=(?!=)")


def _python(path: str, data: bytes) -> dict[str, object]:
    """Constants assigned at the top of a module; `setup(version="…")` too. The last assignment counts."""
    if not _ASSIGNED.search(data.decode("latin-1")):
        return {}
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError) as error:
        raise Unreadable(path, f"is not valid Python: {_short(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise Unreadable(path, TOO_DEEP) from error
    found: dict[str, object] = {}
    for node in tree.body:
        for name, value in _assignments(node):
            found.pop(name, None)
            if value is not None and (name.startswith("__") or re.match(r"v?\d+\.", value)):
                found[name] = value
    return found


def _assignments(node: ast.stmt) -> list[tuple[str, str | None]]:
    """(name, version) of a statement; None for a value that is computed."""
    import ast

    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "setup":
        return [("version", _constant(keyword.value)) for keyword in call.keywords if keyword.arg == "version"]
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    targets: list[ast.expr] = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
    value = node.value
    names = [target.id for target in targets if isinstance(target, ast.Name) and target.id in _NAMES]
    return [(name, _constant(value)) for name in names] if value is not None else []


def _constant(node: ast.expr) -> str | None:
    """The text of a string, or of a tuple such as `(1, 2, "rc1")`."""
    import ast

    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Tuple) and node.elts and all(isinstance(item, ast.Constant) for item in node.elts):
        return ".".join(str(item.value)[:MAX_LENGTH] for item in node.elts if isinstance(item, ast.Constant))
    return None


_LINE = lazy(r"^version[ \t]*[:=]?[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


def _first_line(text: str) -> Mapping[str, object]:
    """Files of no known kind (YAML, properties, Gradle, setup.cfg): the first line that begins with `version`."""
    match = _LINE.search(text)
    return {"version": match[1]} if match else {}


def _short(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return clip(text, 120)


_READERS: Mapping[str, Callable[[str, str], Mapping[str, object]]] = {
    "toml": _toml,
    "json": _json,
}

_VERSION = lazy(r"[vV]?(?P<release>\d{1,18}(?:\.\d{1,18}){0,9})(?P<rest>[^+]*)(?:\+.*)?", re.DOTALL)
_SUFFIX = lazy(
    r"[-_.]?(?P<stage>dev|alpha|a|beta|b|preview|pre|rc|c|post|rev|r)?[-_.]?(?P<number>\d{1,18}(?:\.\d{1,18}){0,9})?",
    re.IGNORECASE,
)
_ORDER = ("dev", "alpha a", "beta b", "preview pre rc c", "", "post rev r")
_STAGES = {stage: rank for rank, names in enumerate(_ORDER) for stage in names.split()}
_FINAL = _ORDER.index("")


def is_downgrade(old: str, new: str) -> bool:
    """Whether the new version is certainly earlier. False also for what cannot be compared."""
    before, after = _key(old), _key(new)
    return before is not None and after is not None and after < before


def _key(version: str) -> tuple[tuple[int, ...], int, tuple[int, ...]] | None:
    """Release, stage and stage number, for the forms that Python and semantic versions share."""
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        return None
    release = [int(part) for part in match["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    if not match["rest"]:
        return tuple(release), _FINAL, ()
    suffix = _SUFFIX.fullmatch(match["rest"])
    if suffix is None or not suffix["stage"]:  # `1.0-2` comes after 1.0 in Python and before it in semantic versions
        return None
    number = tuple(int(part) for part in (suffix["number"] or "0").split("."))
    return tuple(release), _STAGES[suffix["stage"].lower()], number
