"""Packages that bring a program, as they are installed: of Python by their metadata, of npm by package.json."""

from __future__ import annotations

import os
import re

from orchgate.lib.json_data import parse
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress
from orchgate.tools.reading import PYTHON, facts, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.runs.used_tools import Facts, ProgramFile

MOST = 5_000  # packages of an interpreter
MOST_LEVELS = 12  # folders between a file of an npm package and its top
_METADATA = (".dist-info", ".egg-info")
_IMPORTED = lazy(r"^[ \t]*(?:from|import)\s+([A-Za-z_]\w*)", re.MULTILINE)
_SHARED = lazy(r"^include-system-site-packages\s*=\s*true", re.MULTILINE | re.IGNORECASE)
_SEPARATORS = lazy(r"[-_.]+")
_MAX_BYTES = 1024 * 1024


class InstalledPackage(NamedTuple):
    """One package as its folder of metadata names it; `folder` is that one."""

    name: str
    version: str
    folder: str


class Origin(NamedTuple):
    """What brought a program: a version of a package, which may be a part of the work tree itself."""

    version: str
    of_tree: bool


def of_module(module: str, interpreter: ProgramFile, root: str) -> Iterator[Facts]:
    """The package behind `python -m module`; nothing for a module of Python itself, or of the work tree."""
    name = module.partition(".")[0]
    package = next((one for one in installed(interpreter) if one.name == _normal(name)), None)
    if package and not is_of_tree(package, root):
        yield facts(name, package.version, None, "package")


def of_script(name: str, script: str, interpreter: ProgramFile, root: str) -> Origin | None:
    """The package that brought a script of that name, which is nothing but a call into it; None for any other."""
    packages = list(installed(interpreter))
    wanted = {_normal(name), *(_normal(found) for found in _IMPORTED.findall(script))}
    packages.sort(key=lambda one: one.name not in wanted)
    package = next((one for one in packages if name in _scripts(one)), None)
    return Origin(package.version, is_of_tree(package, root)) if package else None


def of_environment(name: str, folder: str, root: str) -> Origin | None:
    """The package that put a program as it is into a virtual environment; None for any other."""
    for package in _packages_in(_below(folder)):
        record = text(os.path.join(package.folder, "RECORD"), _MAX_BYTES) if package.name == _normal(name) else ""
        if f"/bin/{name}," in record:
            return Origin(package.version, is_of_tree(package, root))
    return None


def installed(interpreter: ProgramFile) -> Iterator[InstalledPackage]:
    """The packages that an interpreter finds, those of its virtual environment first. No errors."""
    return _packages_in(_package_folders(interpreter))


def _packages_in(folders: Iterable[str]) -> Iterator[InstalledPackage]:
    count = 0
    for folder in folders:
        names: list[str] = []
        with suppress(OSError):
            names = sorted(os.listdir(folder))
        for name in names:
            stem, kind = os.path.splitext(name)
            if kind in _METADATA and "-" in stem and count < MOST:
                count += 1
                project, _, version = stem.partition("-")
                yield InstalledPackage(_normal(project), version.partition("-py")[0], os.path.join(folder, name))


def _package_folders(interpreter: ProgramFile) -> Iterator[str]:
    environment = os.path.dirname(os.path.dirname(interpreter.path))
    settings = text(os.path.join(environment, "pyvenv.cfg"))
    if settings:
        yield from _below(environment)
        if not _SHARED.search(settings):
            return
    own = ("python3", os.path.basename(interpreter.real))
    yield from _below(os.path.join(os.path.expanduser("~"), ".local"), own)
    if interpreter.real.startswith("/usr/bin/"):
        yield from _below("/usr/local", own)
    yield from _below(os.path.dirname(os.path.dirname(interpreter.real)), own)


def _below(prefix: str, own: Sequence[str] = ()) -> Iterator[str]:
    """Where packages are below a folder, of the interpreters called so, or of any."""
    lib = os.path.join(prefix, "lib")
    with suppress(OSError):
        for name in sorted(os.listdir(lib)):
            if name in own or (not own and PYTHON.fullmatch(name)):
                yield from (os.path.join(lib, name, packages) for packages in ("site-packages", "dist-packages"))


def is_of_tree(package: InstalledPackage, root: str) -> bool:
    """Whether a package is used from a folder of the work tree: then it is no tool, and its version may be stale."""
    from urllib.parse import unquote

    try:
        known = parse(text(os.path.join(package.folder, "direct_url.json")))  # PEP 610
        url, editable = str(known["url"]), known.get("dir_info", {}).get("editable")
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    source = os.path.realpath(unquote(url.removeprefix("file://")))
    return editable is True and f"{source}/".startswith(f"{os.path.realpath(root)}/")


def _scripts(package: InstalledPackage) -> set[str]:
    """The names of the programs that a package declares."""
    names, section = set(), ""
    for line in text(os.path.join(package.folder, "entry_points.txt")).splitlines():
        if line.startswith("["):
            section = line.strip("[] \t")
        elif section in ("console_scripts", "gui_scripts") and "=" in line:
            names.add(line.partition("=")[0].strip())
    return names


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def of_node_file(path: str, root: str) -> Origin | None:
    """The npm package that a file is in: the nearest folder above that says which version it is."""
    folder = os.path.dirname(path)
    for _ in range(MOST_LEVELS):
        if os.path.basename(folder) in ("", "node_modules"):
            return None
        if version := _node_version(os.path.join(folder, "package.json")):
            return Origin(version, "/node_modules/" not in folder and f"{folder}/".startswith(f"{root}/"))
        folder = os.path.dirname(folder)
    return None


def _node_version(path: str) -> str:
    """The version in a package.json; "" where there is none."""
    try:
        known = parse(text(path, _MAX_BYTES))
    except ValueError:
        return ""
    version = known.get("version") if isinstance(known, dict) and known.get("name") else None
    return version if isinstance(version, str) else ""
