"""lefthook: a command of ours for every hook, in its configuration of whatever format.

`use_stdin` hands git's list of pushed refs on: without it a command has no input, and several refs pass unseen.
https://lefthook.dev/configuration/use_stdin
"""

from __future__ import annotations

import os

from orchgate.commands.init import structured, yaml_text
from orchgate.commands.init.edits import Edit, is_blank, is_comment, text
from orchgate.commands.init.hooks import (
    HOOK_TYPES,
    InstallHooks,
    Place,
    Plan,
    each_clone,
    find_program,
    is_installed,
    one_line,
)
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import yaml

_ENDS = (".yml", ".yaml", ".toml", ".json")
FILES = tuple(start + end for start in ("lefthook", ".lefthook", os.path.join(".config", "lefthook")) for end in _ENDS)
NAME = "orchgate"
_ARGUMENTS = {"commit-msg": "{1}", "pre-push": "{1} {2}"}


def found(place: Place) -> str:
    """Its configuration here; "" for none."""
    return next((name for name in FILES if place.has(name)), "")


def wired(place: Place) -> bool:
    from orchgate.commands.init.edits import read

    return "orchgate hook" in (read(os.path.join(place.root, found(place))) or "")


def _run(hook: str) -> str:
    return one_line(["orchgate", "hook", hook, *([_ARGUMENTS[hook]] if hook in _ARGUMENTS else [])])


def _command(hook: str) -> dict[str, object]:
    return {"run": _run(hook), **({"use_stdin": True} if hook == "pre-push" else {})}


def plan(place: Place) -> Plan:
    """Raises OrchgateError."""
    several = [name for name in FILES if place.has(name)]
    if len(several) > 1:
        raise OrchgateError(f"there are {' and '.join(several)}, of which lefthook reads one", "keep one of them")
    path = several[0] if several else FILES[0]
    before = text(place.root, path)
    after = _added(path, before or "")
    edits = (Edit(path, before, after, "a command for each hook"),) if after != before else ()
    kept = () if edits else (f"{path}: it calls orchgate",)
    if place.hooks_path and not all(is_installed(place, hook, "lefthook") for hook in HOOK_TYPES):
        raise OrchgateError(
            f"core.hooksPath is {place.hooks_path}: lefthook does not install its hooks there",
            "git config --unset core.hooksPath",
        )
    return Plan(edits, _install(place), kept, (each_clone("lefthook install"),))


def _install(place: Place) -> InstallHooks | None:
    if all(is_installed(place, hook, "lefthook") for hook in HOOK_TYPES):
        return None
    beside = os.path.join(place.root, "node_modules", ".bin", "lefthook")
    program = beside if os.access(beside, os.X_OK) else find_program("lefthook")
    return InstallHooks((program, "install") if program else (), "lefthook install")


def _added(path: str, before: str) -> str:
    if is_blank(before) or (not path.endswith(".json") and is_comment(before)):
        return _new(path, before if before.strip() else "")
    if path.endswith((".toml", ".json")):
        return structured.changed(path, before, _into)
    yaml_text.require_valid(path, before)
    top = yaml_text.root(before)
    if top is None:
        raise OrchgateError(f"{path}:1:1: lefthook needs one mapping of hooks here", yaml_text.AGAIN)
    now = before
    for hook in HOOK_TYPES:
        now = _with_hook(path, now, hook)
    return now


def _with_hook(path: str, now: str, hook: str) -> str:
    """A YAML configuration with our command for one hook, where it has none."""
    top = yaml_text.root(now)
    there = yaml_text.value(top, hook)
    if _is_there(there):
        return now
    if top is None:
        return now
    lines = _lines(hook)
    as_job = ["- name: " + NAME, *("  " + line for line in lines)]
    as_command = [NAME + ":", *("  " + line for line in lines)]
    made: str | None
    if there is None:
        made = _below(now, [hook + ":", "  commands:", *("    " + line for line in as_command)], top)
    elif yaml_text.value(there, "jobs") is not None:
        made = yaml_text.below_key(now, (hook, "jobs"), as_job)
    elif yaml_text.value(there, "commands") is not None:
        made = yaml_text.below_key(now, (hook, "commands"), as_command)
    else:
        made = yaml_text.below_key(now, (hook,), ["commands:", *("  " + line for line in as_command)])
    return made if made is not None else yaml_text.rewritten(path, now, lambda data: _one(data, hook))


def _below(now: str, lines: list[str], top: yaml.MappingNode) -> str | None:
    """A new hook at the end of a file."""
    if top.flow_style or top.start_mark.column or "\n..." in now:
        return None
    spaced = [] if not now.strip() else [""]
    return yaml_text.kept(now, yaml_text.with_lines(now, len(now.splitlines()), [*spaced, *lines]))


def _lines(hook: str) -> list[str]:
    """Our command as YAML; the text holds no double quote and no backslash."""
    return [f'run: "{_run(hook)}"', *(["use_stdin: true"] if hook == "pre-push" else [])]


def _is_there(node: yaml.Node | None) -> bool:
    jobs = yaml_text.items(yaml_text.value(node, "jobs"))
    called = [*jobs, *(command for _, command in yaml_text.pairs(yaml_text.value(node, "commands")))]
    return any("orchgate hook" in yaml_text.scalar(yaml_text.value(one, "run")) for one in called)


def _into(data: Any) -> None:
    for hook in HOOK_TYPES:
        _one(data, hook)


def _one(data: Any, hook: str) -> None:
    """Our command in parsed data of any format."""
    if data.get(hook) is None:
        data[hook] = {"commands": {NAME: _command(hook)}}
        return
    there = data[hook]
    runs = [job.get("run", "") for job in there.get("jobs") or [] if hasattr(job, "get")]
    runs += [one.get("run", "") for one in (there.get("commands") or {}).values() if hasattr(one, "get")]
    if any("orchgate hook" in str(run) for run in runs):
        return
    if there.get("jobs") is not None:
        there["jobs"].insert(0, {"name": NAME, **_command(hook)})
    elif there.get("commands") is not None:
        there["commands"][NAME] = _command(hook)
    else:
        there["commands"] = {NAME: _command(hook)}


def _new(path: str, comments: str) -> str:
    if path.endswith(".json"):
        return structured.json_text({hook: {"commands": {NAME: _command(hook)}} for hook in HOOK_TYPES})
    if path.endswith(".toml"):
        return structured.changed(path, comments, _into)
    blocks = (
        [hook + ":", "  commands:", f"    {NAME}:", *("      " + line for line in _lines(hook))] for hook in HOOK_TYPES
    )
    body = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return comments.rstrip() + "\n\n" + body if comments.strip() else body


def undo(place: Place) -> Iterator[Edit]:
    """Takes our commands out; a configuration that holds nothing else goes."""
    path = found(place)
    before = text(place.root, path) if path else None
    if before is None or "orchgate hook" not in before:
        return
    if before == _new(path, ""):
        yield Edit(path, before, None)
        return
    if path.endswith((".toml", ".json")):
        yield Edit(path, before, structured.changed(path, before, _out), "without orchgate")
        return
    yaml_text.require_valid(path, before)
    now = before
    for hook in HOOK_TYPES:
        now = _without_hook(path, now, hook)
    yield Edit(path, before, now if now.strip() else None, "without orchgate")


def _without_hook(path: str, now: str, hook: str) -> str:
    top = yaml_text.root(now)
    there = yaml_text.value(top, hook)
    if not _is_there(there):
        return now
    command = yaml_text.entry(yaml_text.value(there, "commands"), NAME)
    if command is not None and "orchgate hook" in yaml_text.scalar(yaml_text.value(command[1], "run")):
        made = yaml_text.without_entry(now, (hook, "commands", NAME))
    else:
        jobs = yaml_text.value(there, "jobs")
        made = yaml_text.without_item(now, jobs, lambda job: yaml_text.scalar(yaml_text.value(job, "name")) == NAME)
    change: Callable[[Any], None] = lambda data: _out_of(data, hook)  # noqa: E731 -- one use
    return made if made is not None else yaml_text.rewritten(path, now, change)


def _out(data: Any) -> None:
    for hook in HOOK_TYPES:
        _out_of(data, hook)


def _out_of(data: Any, hook: str) -> None:
    there = data.get(hook)
    if there is None:
        return
    jobs, commands = there.get("jobs"), there.get("commands")
    for job in [job for job in jobs or [] if job.get("name") == NAME]:
        jobs.remove(job)
    if commands is not None:
        commands.pop(NAME, None)
    for key in ("jobs", "commands"):
        if there.get(key) is not None and not there[key]:
            del there[key]
    if not there:
        del data[hook]
