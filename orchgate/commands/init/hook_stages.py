"""At which stages pre-commit and prek install hooks, and that the hooks of others keep running when they did.

A hook without `stages` runs at every stage that is installed: without `default_stages`, each linter would run once more
at every push and on every commit message.
"""

from __future__ import annotations

import re

from orchgate.commands.init import yaml_text
from orchgate.commands.init.place import HOOK_TYPES
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import yaml

TYPES, STAGES = "default_install_hook_types", "default_stages"
_MARK = "# orchgate init"
_ADDED = f"{_MARK} added "
_WHY = "hooks without stages of their own as they were"
_OURS = lazy(r"^.*# orchgate init(?: keeps .*)?[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_LISTED = lazy(
    r"^(?P<line>.*\S)(?P<comment>[ \t]+# orchgate init added (?P<names>[a-z, -]+))(?P<end>[ \t]*(?:\r?\n|\Z))",
    re.MULTILINE,
)


def _stages(types: list[str]) -> str:
    """What hooks without stages of their own keep: those that were installed, and being called by hand."""
    return ", ".join([*(types or ["pre-commit"]), "manual"])


def added(path: str, text: str) -> str:
    """A YAML configuration that installs every stage of ours. Raises OrchgateError."""
    top = yaml_text.root(text)
    if top is None:
        return text
    found = yaml_text.entry(top, TYPES)
    there = [yaml_text.scalar(item) for item in yaml_text.items(found[1])] if found else []
    missing = [hook for hook in HOOK_TYPES if hook not in there]
    if not missing:
        return text
    start = text
    if yaml_text.value(top, STAGES) is None and _others(top):
        start = _new_line(text, top, f"{STAGES}: [{_stages(there)}]  {_MARK} keeps {_WHY}") or text
    above = yaml_text.root(start)
    line = f"{TYPES}: [{', '.join(HOOK_TYPES)}]  {_MARK}"
    now = _with_types(start, above, missing) if found else _new_line(start, above, line)
    return now if now is not None else yaml_text.rewritten(path, text, into)


def _others(top: yaml.Node) -> bool:
    """Whether somebody else's hooks are configured."""
    hooks = (yaml_text.items(yaml_text.value(repo, "hooks")) for repo in yaml_text.items(yaml_text.value(top, "repos")))
    return any(
        not yaml_text.scalar(yaml_text.value(hook, "id")).startswith("orchgate") for listed in hooks for hook in listed
    )


def _new_line(text: str, top: yaml.MappingNode | None, line: str) -> str | None:
    """A key of its own before the others."""
    if top is None or top.flow_style or not top.value or top.start_mark.column:
        return None
    return yaml_text.kept(text, yaml_text.with_lines(text, top.start_mark.line, [line]))


def _with_types(text: str, top: yaml.MappingNode | None, missing: list[str]) -> str | None:
    """The missing types, in the list that is there."""
    found = yaml_text.entry(top, TYPES)
    listed = found[1] if found else None
    if yaml_text.is_block(listed) and listed is not None:
        start = " " * listed.start_mark.column
        lines = [f"{start}- {name}  {_MARK}" for name in missing]
        return yaml_text.kept(text, yaml_text.with_lines(text, yaml_text.last_line(listed), lines))
    if listed is None or not getattr(listed, "flow_style", False) or listed.start_mark.line != listed.end_mark.line:
        return None
    close = listed.end_mark.index - 1
    inside = text[listed.start_mark.index + 1 : close].rstrip().rstrip(",")
    names = ", ".join([*([inside] if inside.strip() else []), *missing])
    rest, _, below = text[close:].partition("\n")
    carriage = "\r" if rest.endswith("\r") else ""
    comment = f"  {_ADDED}{', '.join(missing)}"
    made = text[: listed.start_mark.index + 1] + names + rest.rstrip() + comment + carriage
    made += "\n" + below if "\n" in text[close:] else ""
    return made if not yaml_text.fault(made) else None


def taken(text: str) -> str:
    """A configuration, YAML or TOML, without what was added here."""

    def shortened(found: re.Match[str]) -> str:
        names = set(found["names"].replace(" ", "").split(","))
        line = found["line"]
        for name in names:
            line = re.sub(rf"(?:, *)?[\"']?\b{re.escape(name)}\b(?!-)[\"']?(?=[^#]*\])", "", line, count=1)
        return line.replace("[, ", "[") + found["end"]

    return _LISTED.sub(shortened, _OURS.sub("", text))


def into(data: Any) -> None:
    """The same for parsed data of either format."""
    there = list(data.get(TYPES) or [])
    missing = [hook for hook in HOOK_TYPES if hook not in there]
    if not missing:
        return
    if TYPES in data:
        for name in missing:
            data[TYPES].append(name)
        _mark(data[TYPES], f"{_ADDED}{', '.join(missing)}")
    else:
        _first(data, TYPES, list(HOOK_TYPES), _MARK)
    hooks = (hook for repo in data.get("repos") or [] for hook in repo.get("hooks") or [])
    if STAGES not in data and any(not str(hook.get("id", "")).startswith("orchgate") for hook in hooks):
        _first(data, STAGES, [*(there or ["pre-commit"]), "manual"], f"{_MARK} keeps {_WHY}")


def _first(data: Any, key: str, value: list[str], mark: str) -> None:
    """ruamel.yaml puts a key anywhere; TOML has its plain keys before the tables, which tomlkit sees to."""
    if hasattr(data, "insert") and not hasattr(data, "as_string"):
        data.insert(0, key, value, comment=mark.removeprefix("# "))
        return
    data[key] = value
    _mark(data[key], mark)


def _mark(item: Any, mark: str) -> None:
    """Says at the end of a line of TOML what we did, where nobody says anything else there."""
    if hasattr(item, "trivia") and not item.trivia.comment:
        item.comment(mark)
