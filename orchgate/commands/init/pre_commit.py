"""pre-commit and prek: our hooks in the configuration that they share, or in prek's own, and the stages they install.

https://pre-commit.com/#top_level-default_install_hook_types and https://prek.j178.dev/configuration/
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys

from orchgate import __version__
from orchgate.commands.init import hook_config, structured, yaml_text
from orchgate.commands.init.edits import Edit, is_blank, is_comment, read, text
from orchgate.commands.init.hook_config import FILE
from orchgate.commands.init.hooks import (
    GENERATED,
    HOOK_TYPES,
    InstallHooks,
    Place,
    Plan,
    each_clone,
    find_program,
    is_installed,
)
from orchgate.errors import OrchgateError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import yaml


PREK_FILE = "prek.toml"
_CUT = "what was there was cut short"
_HOOKS = ("orchgate", "orchgate-commit-msg")
_END = "fi\n"  # how pre-commit's scripts end


def wired(place: Place, path: str) -> bool:
    return hook_config.is_wired(read(os.path.join(place.root, path)) or "")


def plan(place: Place, *, published: bool, prek: bool) -> Plan:
    """Raises OrchgateError."""
    path = PREK_FILE if prek and (place.has(PREK_FILE) or not place.has(FILE)) else FILE
    before = text(place.root, path)
    after, about = _toml(path, before, published=published) if path == PREK_FILE else _yaml(before, published=published)
    edits = (Edit(path, before, after, about),) if after != before else ()
    kept = () if edits else (f"{path}: orchgate is one of its hooks",)
    runner = "prek" if prek or _is_prek_s(place) else "pre-commit"
    install = _install(place, runner)
    if install and place.hooks_path:
        raise OrchgateError(
            f"core.hooksPath is {place.hooks_path}: {runner} does not install its hooks there", "orchgate init --native"
        )
    return Plan(edits, install, kept, (each_clone(f"{runner} install", published=published),))


def _is_prek_s(place: Place) -> bool:
    return GENERATED["prek"] in place.hook_text(HOOK_TYPES[0])


def _entry(*, published: bool) -> tuple[str, ...]:
    return hook_config.remote_entry(__version__) if published else hook_config.LOCAL_ENTRY


def _yaml(before: str | None, *, published: bool) -> tuple[str, str]:
    """The configuration with our hooks, and what was done. Raises OrchgateError."""
    entry = _entry(published=published)
    if before is None or is_blank(before):
        return hook_config.new_file(entry), "" if before is None else "it was empty"
    if hook_config.is_cut(before):
        return hook_config.new_file(entry), _CUT
    if is_comment(before):
        return f"{before.rstrip()}\n\n{hook_config.new_file(entry)}", "below the comments that were there"
    if hook_config.ends_within(before):
        message = f"{FILE} ends in the middle of orchgate's own lines: what followed them is lost"
        raise OrchgateError(message, "restore the file from git, or delete those lines, then run `orchgate init` again")
    yaml_text.require_valid(FILE, before)
    now, about = hook_config.upgraded(before), "orchgate first, the rest as it was"
    if not hook_config.is_wired(now):
        now = _with_entry(now, entry)
    elif not hook_config.reads_message(now):
        now, about = _with_entry(now, hook_config.message_entry(now, __version__)), "a hook for the commit message"
    return added(FILE, now), about


def _with_entry(now: str, entry: tuple[str, ...]) -> str:
    made = hook_config.with_entry(now, entry)
    if made is not None:
        return made
    import yaml

    item = yaml.safe_load("\n".join(entry))[0]

    def insert(data: Any) -> None:
        if data.get("repos") is None:
            data["repos"] = []
        data["repos"].insert(0, item)

    return yaml_text.rewritten(FILE, now, insert)


def _toml(path: str, before: str | None, *, published: bool) -> tuple[str, str]:
    import yaml

    item = yaml.safe_load("\n".join(_entry(published=published)))[0]

    def change(data: Any) -> None:
        if not _ours(data):
            _append(data, item)
        into(data)

    return structured.changed(path, before or "", change), "" if before is None else "orchgate last, the rest as it was"


def _ours(data: Any) -> list[Any]:
    """The entries of a configuration that hold our hooks."""
    return [
        repo for repo in data.get("repos") or [] if any(hook.get("id") in _HOOKS for hook in repo.get("hooks") or [])
    ]


def _append(data: Any, item: Any) -> None:
    import tomlkit
    from tomlkit.items import AoT

    repos = data.get("repos")
    if repos is None:
        repos = data["repos"] = tomlkit.aot()
    if isinstance(repos, AoT):
        table = tomlkit.table()
        for key, value in item.items():
            table[key] = _hooks(value) if key == "hooks" else value
        repos.append(table)
    else:
        repos.append(item)


def _hooks(listed: Any) -> Any:
    import tomlkit

    array = tomlkit.array().multiline(multiline=True)
    for hook in listed:
        inline = tomlkit.inline_table()
        inline.update(hook)
        array.append(inline)
    return array


def _install(place: Place, runner: str) -> InstallHooks | None:
    """The runner's own command, where its scripts are not all there."""
    mark = GENERATED[runner]
    whole = (is_installed(place, hook, mark) and _is_whole(place, hook, runner) for hook in HOOK_TYPES)
    if all(whole):
        return None
    program = _program(runner)
    return InstallHooks((*program, "install") if program else (), f"{runner} install")


def _program(runner: str) -> tuple[str, ...]:
    """How a runner is started; () when it is not here."""
    if program := find_program(runner):
        return (program,)
    importable = runner == "pre-commit" and importlib.util.find_spec("pre_commit") is not None
    return (sys.executable, "-P", "-m", "pre_commit") if importable else ()


def _is_whole(place: Place, hook: str, runner: str) -> bool:
    return runner != "pre-commit" or place.hook_text(hook).endswith(_END)


def broken_hooks(place: Place) -> Iterator[str]:
    """Paths of hooks that hold nothing, and of pre-commit's own that were cut short.

    It would keep them under another name, and run them from then on.
    """
    for hook in HOOK_TYPES:
        path = os.path.join(place.hooks, hook)
        if not os.path.isfile(path) or os.path.islink(path):
            continue
        content = place.hook_text(hook)
        cut = GENERATED["pre-commit"] in content and not content.endswith(_END)
        if cut or (is_blank(content) and os.path.getsize(path) < 4096):
            yield path


def undo(place: Place) -> Iterator[Edit]:
    """Takes our hooks out of both configurations; one that holds nothing else goes."""
    if (before := read(os.path.join(place.root, FILE))) and hook_config.is_wired(before):
        yield _undone_yaml(before)
    if (before := read(os.path.join(place.root, PREK_FILE))) and "orchgate" in before:
        after = structured.changed(PREK_FILE, taken(before), _out)
        yield Edit(PREK_FILE, before, after if after.strip() else None, "without orchgate")


def _undone_yaml(before: str) -> Edit:
    """Raises OrchgateError."""
    yaml_text.require_valid(FILE, before)
    now = taken(before)
    repos = yaml_text.value(yaml_text.root(now), "repos")
    if all(_is_ours(item) for item in yaml_text.items(repos)):
        top = yaml_text.root(now)
        keys = {yaml_text.scalar(key) for key, _ in top.value} if top else set()
        if keys <= {"repos", "default_install_hook_types", "minimum_pre_commit_version"} and "#" not in now:
            return Edit(FILE, before, None)
    made = yaml_text.without_item(now, repos, _is_ours)
    after = made if made is not None else yaml_text.rewritten(FILE, now, _out)
    return Edit(FILE, before, after, "without orchgate")


def _is_ours(item: Any) -> bool:
    listed = yaml_text.items(yaml_text.value(item, "hooks"))
    return bool(listed) and all(yaml_text.scalar(yaml_text.value(hook, "id")) in _HOOKS for hook in listed)


def _out(data: Any) -> None:
    """Our hooks taken out of parsed data of either format."""
    for repo in _ours(data):
        for hook in [hook for hook in repo["hooks"] if hook.get("id") in _HOOKS]:
            repo["hooks"].remove(hook)
        if not repo["hooks"]:
            data["repos"].remove(repo)
    if "repos" in data and not data["repos"] and hasattr(data, "as_string"):
        del data["repos"]


# At which stages pre-commit and prek install hooks, and that the hooks of others keep running when they did.
#
# A hook without `stages` runs at every stage that is installed: without `default_stages`, each linter would run once
# more at every push and on every commit message.


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
