"""Versions that the files of an installation tell: of Python, Node.js, Go and Java; and who decides among several."""

from __future__ import annotations

import os
import re
import sys

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.tools import packages
from orchgate.tools.reading import PYTHON, by_digest, facts, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.runs.used_tools import Facts, ProgramFile, UsedTools

_CFG = lazy(r"^version(?:_info)?\s*=\s*([0-9][\w.+-]*)", re.MULTILINE)
_PATCHLEVEL = lazy(r'^#define\s+PY_VERSION\s+"([^"\n]+)"', re.MULTILINE)
_NODE = r"^#define NODE_MAJOR_VERSION (\d+)\s+#define NODE_MINOR_VERSION (\d+)\s+#define NODE_PATCH_VERSION (\d+)\s"
_GO = r"\Ago(\d\S*)"
_JAVA = r'^JAVA_VERSION="([^"\n]+)"'
# A file beside the folder of the program, and what there is the version.
_BESIDE: Mapping[str, tuple[str, str]] = {
    "node": ("include/node/node_version.h", _NODE),
    **dict.fromkeys(("go", "gofmt"), ("VERSION", _GO)),
    **dict.fromkeys(("java", "javac", "jar"), ("release", _JAVA)),
}
# One program that goes by the names of many, of which each is another one by folder or by setting.
_CHOOSERS = ("rustup", "mise", "volta", "volta-shim", "proto-shim", "snap")


def of_native(name: str, file: ProgramFile, used: UsedTools) -> Iterable[Facts]:
    """What is known of a program that is no script; nothing for one of the work tree itself. Raises OSError."""
    if known := read(name, file, used):
        return (known,)
    if used.is_inside(file.real):
        return ()
    used.files[name, file] = known = by_digest(name, file, used, version=None)
    return (known,)


def read(name: str, file: ProgramFile, used: UsedTools) -> Facts | None:
    """A tool whose version files tell, or of which another program decides what it is; None for any other.

    Raises OSError.
    """
    real = os.path.basename(file.real)
    if real.startswith(("python", "pypy")) and PYTHON.fullmatch(real):
        return of_python(file, used)
    if "/node_modules/" in file.real:
        return _of_origin(name, packages.of_node_file(file.real, used.root))
    if chooses(name, file.real):
        return facts(name, None, None, "shim")
    return _of_file_beside(name, file) or _of_environment(name, file, used.root)


def _of_origin(name: str, origin: packages.Origin | None) -> Facts | None:
    return facts(name, origin.version, None, "package") if origin and not origin.of_tree else None


def _of_file_beside(name: str, file: ProgramFile) -> Facts | None:
    if name in _BESIDE:
        inner, pattern = _BESIDE[name]
        told = text(os.path.join(_above(file.real), inner))
        if found := re.search(pattern, told, re.MULTILINE):
            return facts(name, ".".join(found.groups()), None, "installation")
    return None


def _of_environment(name: str, file: ProgramFile, root: str) -> Facts | None:
    """A program that pip put as it is into a virtual environment."""
    folder = _above(file.real)
    known = os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    return _of_origin(name, packages.of_environment(name, folder, root)) if known else None


def chooses(name: str, real: str) -> bool:
    """Whether the file of a program is another one, which decides by folder or setting what it starts."""
    program = os.path.basename(real)
    return (program in _CHOOSERS and program != name) or _is_rustup(real)


def _is_rustup(path: str) -> bool:
    """Whether a program is a hard link to the rustup beside it."""
    if not path.endswith(("/cargo", "/rustc", "/rustfmt", "/rustdoc", "/clippy-driver", "/cargo-clippy", "/cargo-fmt")):
        return False
    beside = os.path.join(os.path.dirname(path), "rustup")
    return os.path.exists(beside) and os.path.samefile(path, beside)


def of_python(file: ProgramFile, used: UsedTools) -> Facts | None:
    """An interpreter: its exact version where that can be read, else what its name says and its digest.

    Raises OSError.
    """
    named = PYTHON.fullmatch(os.path.basename(file.real))
    family, short = named.groups() if named else ("python", None)
    if version := _running(file.real) or _patchlevel(file.real) or _configured(file.path):
        return facts(family, version, None, "installation")
    return by_digest(family, file, used, version=short)


def _running(real: str) -> str:
    """The version of the interpreter that runs this code, where it is the one."""
    if sys.implementation.name != "cpython" or not sys.executable or os.path.realpath(sys.executable) != real:
        return ""
    return sys.version.split()[0]


def _patchlevel(real: str) -> str:
    """The version as the headers beside an interpreter have it."""
    path = os.path.join(_above(real), "include", os.path.basename(real), "patchlevel.h")
    found = _PATCHLEVEL.search(text(path))
    return found[1] if found else ""


def _configured(path: str) -> str:
    """The version of a virtual environment's interpreter, as it was when the environment was made."""
    found = _CFG.search(text(os.path.join(_above(path), "pyvenv.cfg")))
    return found[1].removesuffix(".final.0") if found else ""


def _above(path: str) -> str:
    return os.path.dirname(os.path.dirname(path))
