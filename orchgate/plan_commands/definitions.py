"""Where a tree defines the names that commands use, and which of them are not defined."""

from __future__ import annotations

import posixpath
import re

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.plan_commands.requested_names import RequestedName


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


# Where a tree defines the names that commands use, and which of them are not defined


CODEX = "codex.orchestrator.json"
HOOKS = ".pre-commit-config.yaml"
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # in the order make looks for them
# Files that generate a makefile which git does not hold.
GENERATORS = ("CMakeLists.txt", "configure", "configure.ac", "Makefile.am", "Makefile.in", "meson.build", "Makefile.PL")
READERS: Mapping[str, Callable[[str, bytes], DefinedNames]] = {
    "script": npm_scripts,
    "target": make_targets,
    "session": nox_sessions,
    "hook": hook_ids,
    "codex-pipeline": codex_pipelines,
}
WORDS = {
    "script": "script",
    "target": "target",
    "session": "session",
    "hook": "hook",
    "pipeline": "pipeline",
    "codex-pipeline": "pipeline",
}


class MissingName(NamedTuple):
    """A name that does not exist. `file` is what would define it, "" when there is no such file."""

    request: RequestedName
    file: str
    wanted_file: str
    known: tuple[str, ...] = ()


class Definitions:
    """The names of one tree, each file read once. `pipelines` are those of the configuration."""

    def __init__(self, tree: Snapshot, pipelines: tuple[str, ...] = ()) -> None:
        self._tree = tree
        self._pipelines = pipelines
        self._read: dict[tuple[str, str], DefinedNames | Unreadable] = {}
        self._known: dict[tuple[str, str], frozenset[str]] = {}

    def missing(self, request: RequestedName) -> MissingName | None:
        """The name, if it is certainly missing. Raises Unreadable when the file that would define it cannot be read."""
        if request.folder not in self._tree.folders:
            return None
        if request.kind == "pipeline":
            return self._missing_pipeline(request)
        file = self._file(request)
        if file is None:
            return None
        if not file:
            return None if request.loose else MissingName(request, "", _usual(request.kind))
        names = self.names(request.kind, file)
        if not self._misses(request, file, names) or self._made_without_rule(request):
            return None
        if request.loose and ":" not in request.name and not near(request.name, names.defined, 0.8):
            return None
        return MissingName(request, file, file, names.defined)

    def _misses(self, request: RequestedName, file: str, names: DefinedNames) -> bool:
        """Whether the name certainly does not exist."""
        key = (request.kind, file)
        if key not in self._known:
            self._known[key] = names.also.union(names.defined)
        return not names.open and request.name not in self._known[key]

    def suggest(self, sought: tuple[str, ...]) -> str:
        """The hint for a missing name `(kind, file, name)`; "" where no name is similar. Raises Unreadable."""
        kind, file, name = sought
        guess = near(name, tuple(self._all_pipelines) if kind == "pipeline" else self.names(kind, file).defined)
        return f"did you mean {guess}?" if guess else ""

    def names(self, kind: str, file: str) -> DefinedNames:
        """What a file of the tree defines. Raises Unreadable."""
        key = (kind, file)
        if key not in self._read:
            try:
                self._read[key] = READERS[kind](file, self._tree.read(file, MAX_BYTES))
            except Unreadable as error:
                self._read[key] = error
        found = self._read[key]
        if isinstance(found, Unreadable):
            raise found
        return found

    def _has(self, path: str) -> bool:
        entry = self._tree.entries.get(path)
        return entry is not None and entry.mode not in (SYMLINK, SUBMODULE)

    def _file(self, request: RequestedName) -> str | None:
        """The file that defines the names; "" when there is none, None when that is unknown."""
        if request.file:
            return request.file if self._has(request.file) else None
        match request.kind:
            case "script":
                return self._nearest(request.folder, "package.json")
            case "target":
                return self._makefile(request)
            case "session":
                return self._in(request.folder, "noxfile.py")
            case "hook":
                return self._in("", HOOKS)
            case _:
                return CODEX if self._has(CODEX) else None

    def _in(self, folder: str, name: str) -> str | None:
        path = posixpath.join(folder, name)
        if self._has(path):
            return path
        return None if path in self._tree.entries else ""

    def _nearest(self, folder: str, name: str) -> str | None:
        """Npm takes the package.json of the folder or of the nearest one above."""
        while not (found := self._in(folder, name)):
            if found is None or not folder:
                return found
            folder = folder.rpartition("/")[0]
        return found

    def _makefile(self, request: RequestedName) -> str | None:
        found = [self._in(request.folder, name) for name in MAKEFILES]
        if any(found) or None in found:
            return next((file for file in found if file), None)
        generated = any(posixpath.join(request.folder, name) in self._tree.entries for name in GENERATORS)
        return None if generated or self._made_without_rule(request) else ""

    def _made_without_rule(self, request: RequestedName) -> bool:
        """Whether make needs no rule: the target exists, or a built-in rule may make it."""
        if request.kind != "target":
            return False
        path = posixpath.normpath(posixpath.join(request.folder, request.name))
        return "." in request.name or path in self._tree.folders or path in self._makeable

    @cached_property
    def _makeable(self) -> frozenset[str]:
        """Every file, and its name up to each dot, which make may build from it, such as `start` from `start.c`."""
        found = set(self._tree.entries)
        for path in self._tree.entries:
            dot = path.rfind(".")
            while dot > 0:
                found.add(path[:dot])
                dot = path.rfind(".", 0, dot)
        return frozenset(found)

    def _missing_pipeline(self, request: RequestedName) -> MissingName | None:
        known = self._all_pipelines
        if request.name in known:
            return None
        where = CODEX if self._has(CODEX) and not self._pipelines else "the configuration"
        return MissingName(request, where, where, tuple(known))

    @cached_property
    def _all_pipelines(self) -> dict[str, None]:
        """Pipelines of both kinds of configuration, in their order. Raises Unreadable."""
        codex = self.names("codex-pipeline", CODEX).defined if self._has(CODEX) else ()
        return dict.fromkeys((*self._pipelines, *codex))


def _usual(kind: str) -> str:
    return {"script": "package.json", "target": "Makefile", "session": "noxfile.py", "hook": HOOKS}[kind]


def near(name: str, known: tuple[str, ...], cutoff: float = 0.6) -> str:
    """The name that was probably meant, or ""."""
    from orchgate.references.nearest import closest

    return closest(name, known, cutoff)
