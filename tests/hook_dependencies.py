"""The dependencies of our own hooks: stated once, in `pyproject.toml`, and copied into `.pre-commit-config.yaml`.

`python -m tests.hook_dependencies` (or `nox -s hooks`) rewrites the copies; a test holds them to it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parent.parent
CONFIG = TOP / ".pre-commit-config.yaml"
# What a check imports, and what counts the files that a measured pipeline writes.
GATE = ("google-re2", "inotify-simple", "jsonschema", "jsonschema-rs", "msgspec", "unidiff")
# The id of a hook -> what it needs, by name.
NEEDED = {
    "orchgate": GATE,
    "orchgate-commit-msg": GATE,
    "ruff-check": ("ruff",),
    "ruff-format": ("ruff",),
    "zizmor": ("zizmor",),
    "jobs-of-github": ("check-jsonschema",),
    "jobs-of-gitlab": ("check-jsonschema",),
    "action": ("check-jsonschema",),
    "mypy": (
        *("mypy", "pytest", "hypothesis", "markdown-it-py", "nox", "types-jsonschema", "types-PyYAML"),
        *("GitPython", "rich", "ruamel.yaml", "tomlkit", "duckdb", "obstore", *GATE[2:]),
    ),
}
_HOOK = re.compile(r"^      - id: (\S+)$")
_LIST = re.compile(r"^        additional_dependencies:.*$")
_ITEM = re.compile(r"^          - .*$")
_WIDTH = 120


def requirements() -> dict[str, str]:
    """Every requirement of the project by the name of the package, without its marker."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"]]
    for group in project["dependency-groups"].values():
        lines += [line for line in group if isinstance(line, str)]
    bare = [line.partition(";")[0].strip() for line in lines]
    return {re.split(r"[<>=!~\[ ]", line, maxsplit=1)[0]: line for line in bare}


def rendered(text: str) -> str:
    """The configuration of pre-commit with its lists of dependencies as they ought to be."""
    known, hook, lines = requirements(), "", []
    for line in text.splitlines():
        if found := _HOOK.match(line):
            hook = found[1]
        if _LIST.match(line):
            lines += _written([known[name] for name in NEEDED[hook]])
        elif not _ITEM.match(line):
            lines.append(line)
    return "".join(line + "\n" for line in lines)


def _written(needed: list[str]) -> list[str]:
    one = f"        additional_dependencies: [{', '.join(needed)}]"
    if len(one) <= _WIDTH:
        return [one]
    return ["        additional_dependencies:", *(f"          - {line}" for line in needed)]


if __name__ == "__main__":
    CONFIG.write_text(rendered(CONFIG.read_text()))
