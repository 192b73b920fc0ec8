"""Programs that only start another one: `sudo -u deploy env A=1 nice -n 5 npm run x` is about `npm run x`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.documents.shell import script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.documents.shell import Command

MAX_NESTING = 8
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SHELL_NAMES = frozenset({"sh", "bash", "zsh", "dash", "ksh"})


class Wrapper(NamedTuple):
    """`valued`: options that take the next word. `positional`: words of its own before the inner program."""

    valued: frozenset[str] = frozenset()
    positional: int = 0
    words: tuple[str, ...] = ()  # what must follow its name, such as `run` of `poetry run`


def _options(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WRAPPERS: Mapping[str, tuple[Wrapper, ...]] = {
    "sudo": (
        Wrapper(
            _options("-u --user -g --group -h --host -p --prompt -C -r --role -t --type -U --other-user -D --chdir -R -T")
        ),
    ),
    "doas": (Wrapper(_options("-u -C")),),
    "env": (Wrapper(_options("-u --unset -C --chdir -S --split-string")),),
    "time": (Wrapper(_options("-f --format -o --output")),),
    "nice": (Wrapper(_options("-n --adjustment")),),
    "ionice": (Wrapper(_options("-c --class -n --classdata -p --pid")),),
    "timeout": (Wrapper(_options("-k --kill-after -s --signal"), positional=1),),
    "gtimeout": (Wrapper(_options("-k --kill-after -s --signal"), positional=1),),
    "stdbuf": (Wrapper(_options("-i --input -o --output -e --error")),),
    "xargs": (Wrapper(_options("-I -n -P -L -d -E -s -a --max-args --max-procs --arg-file --delimiter")),),
    "exec": (Wrapper(_options("-a")),),
    "nohup": (Wrapper(),),
    "setsid": (Wrapper(),),
    "command": (Wrapper(),),
    "builtin": (Wrapper(),),
    "npx": (Wrapper(_options("-p --package --prefix -w --workspace")),),
    "bunx": (Wrapper(),),
    "uvx": (Wrapper(_options("--from --with --python -p")),),
    "pipx": (Wrapper(_options("--spec --python"), words=("run",)),),
    "poetry": (Wrapper(_options("-C --directory -P --project"), words=("run",)),),
    "pipenv": (Wrapper(words=("run",)),),
    "uv": (Wrapper(_options("-p --python --with --extra --group --only-group --project --directory --env-file"), words=("run",)),),
    "pnpm": (Wrapper(words=("exec",)), Wrapper(words=("dlx",))),
    "yarn": (Wrapper(words=("exec",)), Wrapper(words=("dlx",))),
    "npm": (Wrapper(words=("exec",)), Wrapper(words=("x",))),
}
# Options after which the rest is not a program and its arguments.
_OPAQUE: Mapping[str, frozenset[str]] = {
    "sudo": _options("-e --edit -l --list -v --validate -k -K -V --version -i --login -s --shell -D --chdir -R"),
    "env": _options("-S --split-string -C --chdir"),
    "command": _options("-v -V"),
    "npx": _options("-c --call"),
    "npm": _options("-c --call"),
    "uv": _options("-m --module --directory --project"),
    "poetry": _options("-C --directory -P --project"),
}


class Started(NamedTuple):
    """What a command line starts in the end, and through which programs."""

    command: Command
    through: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return self.command.words[0].text.rpartition("/")[2]


def started(command: Command) -> Iterator[Started]:
    """The programs that a command starts: the wrapped one, and those of a `bash -c` line. At least the command itself."""
    through: list[str] = []
    for _ in range(MAX_NESTING):
        inner = _unwrapped(command)
        if inner is None:
            break
        through.append(_name(command))
        command = inner
    yield Started(command, tuple(through))
    if _name(command) in _SHELL_NAMES and (line := _command_line(command)) is not None and len(through) < MAX_NESTING:
        for nested in script(line, command.folder)[0]:
            if not (_name(nested) in _SHELL_NAMES and _command_line(nested) is not None):
                yield from started(nested._replace(offset=command.offset, fed=nested.fed or command.fed))


def _name(command: Command) -> str:
    return command.words[0].text.rpartition("/")[2]


def _command_line(command: Command) -> str | None:
    """The line of `bash -lc 'line'`, when it is spelled out."""
    for word, following in zip(command.words[1:], command.words[2:], strict=False):
        if re.fullmatch(r"-[a-z]*c", word.text):
            return following.text if following.literal else None
        if not word.text.startswith("-"):
            return None
    return None


def _unwrapped(command: Command) -> Command | None:
    for wrapper in _WRAPPERS.get(_name(command), ()):
        if (inner := _behind(command, wrapper)) is not None:
            return inner
    return None


def _behind(command: Command, wrapper: Wrapper) -> Command | None:
    """The command behind a wrapper's name, options and own words; None when there is none or it cannot be told."""
    words, name = command.words, _name(command)
    env = command.env
    at, expected, positional = 1, list(wrapper.words), wrapper.positional
    while at < len(words):
        word = words[at]
        if word.text in _OPAQUE.get(name, ()):
            return None
        if word.text == "--" and not expected:
            at += 1
            break
        if word.text.startswith("-") and len(word.text) > 1:
            at += 2 if word.text in wrapper.valued else 1
        elif expected:
            if word.text != expected.pop(0):
                return None
            at += 1
        elif positional:
            positional -= 1
            at += 1
        elif name in ("env", "sudo") and _ASSIGNMENT.match(word.text):
            env = (*env, word.text.partition("=")[0])
            at += 1
        else:
            break
    inner = words[at:]
    if not inner or expected or not inner[0].literal:
        return None
    fed = command.fed or name == "xargs"
    return command._replace(words=inner, env=env, fed=fed)
