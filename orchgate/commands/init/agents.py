"""Files by which coding agents are stopped at the end of a turn until the gate passes, and told what it wants.

Claude Code: https://code.claude.com/docs/en/hooks · Codex: https://developers.openai.com/codex/hooks ·
Cursor: https://cursor.com/docs/agent/hooks and https://cursor.com/docs/context/rules · others: https://agents.md
"""

from __future__ import annotations

from orchgate.commands.init import structured
from orchgate.commands.init.edits import Edit, line_end, text
from orchgate.commands.init.hooks import MISSING
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from orchgate.commands.init.hooks import Place

NAMES = ("claude", "codex", "cursor", "generic")
_BEGIN, _END = "<!-- orchgate: begin (orchgate init) -->", "<!-- orchgate: end -->"
_RULES = """\
## The gate

- `orchgate` refuses commits and pushes whose documents, evidence, size or speed do not hold. Never use `--no-verify`.
- Before you end your turn, run `orchgate hook agent generic`: exit code 0 means that the work tree may land as it is.
- Otherwise it prints JSON: for each finding `rule`, `path`, `line`, `message`, `hint`, and commands to run in `next`.
- Fix the cause, then run it again. `orchgate explain RULE` has a bad and a good example.
- A ticked item needs a link to the run that shows it: `orchgate run PIPELINE --task ID`. Never write evidence by hand.
- Keep a change within the diff budget by splitting it. The limits in orchgate.toml are for people to change.
- Exceptions (commit trailers, ignore comments) need a reason that a person gave you.
- "could not check" (`troubles`) is no finding about your change: do what the hint says, or tell the person.
"""
_CURSOR_RULE = "---\ndescription: What orchgate asks of every change\nalwaysApply: true\n---\n\n"


class AgentFiles(NamedTuple):
    """The file with hooks, "" for none, and the one with instructions."""

    hooks: str
    rules: str


FILES = {
    "claude": AgentFiles(".claude/settings.json", "CLAUDE.md"),
    "codex": AgentFiles(".codex/hooks.json", "AGENTS.md"),
    "cursor": AgentFiles(".cursor/hooks.json", ".cursor/rules/orchgate.mdc"),
    "generic": AgentFiles("", "AGENTS.md"),
}


def _command(name: str) -> str:
    """A tool takes every code but 2 for a fault of its hook and goes on: a missing program has to be 2 as well."""
    call = f"orchgate hook agent {name}"
    if name == "cursor":
        return call
    return f"command -v orchgate >/dev/null || {{ echo '{MISSING}' >&2; exit 2; }}; {call}"


def plan(place: Place, name: str) -> tuple[Edit | str, ...]:
    """What has to be done for one tool. Raises OrchgateError."""
    files = FILES[name]
    hooks = [_hooks(place, name, files.hooks)] if files.hooks else []
    return (*hooks, _rules(place, name, files.rules))


def _hooks(place: Place, name: str, path: str) -> Edit | str:
    before = text(place.root, path)
    if before is not None and f"orchgate hook agent {name}" in before:
        return f"{path}: it calls orchgate"
    start = before if before and before.strip() else "{}\n"
    after = structured.changed(path, start, lambda data: _into(data, name))
    return Edit(path, before, after, "a hook at the end of each turn")


def _into(data: Any, name: str) -> None:
    if name == "cursor":
        data.setdefault("version", 1)
        # Cursor ends a loop by itself after so many messages.
        data.setdefault("hooks", {}).setdefault("stop", []).append({"command": _command(name), "loop_limit": 10})
        return
    hook = {"type": "command", "command": _command(name), "timeout": 120}
    data.setdefault("hooks", {}).setdefault("Stop", []).append({"hooks": [hook]})


def _rules(place: Place, name: str, path: str) -> Edit | str:
    before = text(place.root, path)
    if name == "cursor":
        after = _CURSOR_RULE + _RULES
        return f"{path}: what the gate asks" if before == after else Edit(path, before, after, "what the gate asks")
    end = line_end(before or "")
    block = f"{_BEGIN}\n{_RULES}{_END}\n".replace("\n", end)
    if before is None or not before.strip():
        after = block
    elif _BEGIN in before:
        head, rest = before.split(_BEGIN, 1)
        if _END not in rest:
            raise OrchgateError(f"{path}: the end of orchgate's lines is missing: {_END}", "put that line back")
        after = head + block.removesuffix(end) + rest.split(_END, 1)[1]
    else:
        after = before + ("" if before.endswith("\n") else end) + end + block
    return f"{path}: what the gate asks" if after == before else Edit(path, before, after, "what the gate asks")


def undo(place: Place) -> Iterator[Edit]:
    """Takes our hooks and instructions out; a file that holds nothing else goes. Raises OrchgateError."""
    for name, files in FILES.items():
        before = text(place.root, files.hooks) if files.hooks and place.has(files.hooks) else None
        if before is not None and "orchgate hook agent" in before:
            after = structured.changed(files.hooks, before, _out_of)
            yield Edit(files.hooks, before, None if after.strip() in ("{}", '{\n  "version": 1\n}') else after)
        before = text(place.root, files.rules) if place.has(files.rules) and name != "generic" else None
        if before is None:
            continue
        if before == _CURSOR_RULE + _RULES:
            yield Edit(files.rules, before, None)
        elif _BEGIN in before and _END in before:
            head, rest = before.split(_BEGIN, 1)
            tail = rest.split(_END, 1)[1].lstrip("\r\n")
            left = head.removesuffix(line_end(before)) + tail if not tail else head + tail
            yield Edit(files.rules, before, left if left.strip() else None, "without orchgate")


def _out_of(data: Any) -> None:
    hooks = data["hooks"]
    for event in list(hooks):
        hooks[event] = [one for one in hooks[event] if "orchgate hook agent" not in str(one)]
        if not hooks[event]:
            del hooks[event]
    if not hooks:
        del data["hooks"]
