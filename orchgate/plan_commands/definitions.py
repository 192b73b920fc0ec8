"""Where a tree defines the names that commands use, and which of them are not defined."""

from __future__ import annotations

import posixpath
from functools import cached_property

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.plan_commands import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.plan_commands.programs import DefinedNames
    from orchgate.plan_commands.requested_names import RequestedName

CODEX = "codex.orchestrator.json"
HOOKS = ".pre-commit-config.yaml"
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # in the order make looks for them
# Files that generate a makefile which git does not hold.
GENERATORS = ("CMakeLists.txt", "configure", "configure.ac", "Makefile.am", "Makefile.in", "meson.build", "Makefile.PL")
READERS: Mapping[str, Callable[[str, bytes], DefinedNames]] = {
    "script": programs.npm_scripts,
    "target": programs.make_targets,
    "session": programs.nox_sessions,
    "hook": programs.hook_ids,
    "codex-pipeline": programs.codex_pipelines,
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
                self._read[key] = READERS[kind](file, self._tree.read(file, programs.MAX_BYTES))
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
