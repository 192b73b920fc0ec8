"""Programs that only start another one: `sudo -u deploy env A=1 nice -n 5 npm run x` runs `npm run x`."""

from __future__ import annotations

import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.plan_commands.shell import ShellWord, one_of, script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.plan_commands.shell import ShellCommand

MAX_NESTING = 8
_ASSIGNMENT = lazy(r"[A-Za-z_][A-Za-z0-9_]*=")
_MODULES = (("nox",), ("pip",), ("pre_commit",), ("orchgate",))  # what `python -m` starts under another name
_SHELL_NAMES = frozenset({"sh", "bash", "zsh", "dash", "ksh"})


class Wrapper(NamedTuple):
    """`valued`: options that take the next word. `positional`: words of its own before the inner program."""

    valued: frozenset[str] = frozenset()
    positional: int = 0
    words: tuple[str, ...] = ()  # what must follow its name, such as `run` of `poetry run`


WRAPPERS: Mapping[str, tuple[Wrapper, ...]] = {
    "sudo": (
        Wrapper(
            one_of("-u --user -g --group -h --host -p --prompt -C -r --role -t --type -U --other-user -D --chdir -R -T")
        ),
    ),
    "doas": (Wrapper(one_of("-u -C")),),
    "env": (Wrapper(one_of("-u --unset -C --chdir -S --split-string")),),
    "time": (Wrapper(one_of("-f --format -o --output")),),
    "nice": (Wrapper(one_of("-n --adjustment")),),
    "ionice": (Wrapper(one_of("-c --class -n --classdata -p --pid")),),
    "timeout": (Wrapper(one_of("-k --kill-after -s --signal"), positional=1),),
    "gtimeout": (Wrapper(one_of("-k --kill-after -s --signal"), positional=1),),
    "stdbuf": (Wrapper(one_of("-i --input -o --output -e --error")),),
    "xargs": (Wrapper(one_of("-I -n -P -L -d -E -s -a --max-args --max-procs --arg-file --delimiter")),),
    "exec": (Wrapper(one_of("-a")),),
    "nohup": (Wrapper(),),
    "setsid": (Wrapper(),),
    "command": (Wrapper(),),
    "builtin": (Wrapper(),),
    "npx": (Wrapper(one_of("-p --package --prefix -w --workspace")),),
    "bunx": (Wrapper(),),
    "uvx": (Wrapper(one_of("--from --with --python -p")),),
    "pipx": (Wrapper(one_of("--spec --python"), words=("run",)),),
    "poetry": (Wrapper(one_of("-C --directory -P --project"), words=("run",)),),
    "pipenv": (Wrapper(words=("run",)),),
    "uv": (
        Wrapper(
            one_of("-p --python --with --extra --group --only-group --project --directory --env-file"), words=("run",)
        ),
    ),
    "pnpm": (Wrapper(words=("exec",)), Wrapper(words=("dlx",))),
    "yarn": (Wrapper(words=("exec",)), Wrapper(words=("dlx",))),
    "npm": (Wrapper(words=("exec",)), Wrapper(words=("x",))),
}
# Options after which the rest is not a program and its arguments.
_OPAQUE: Mapping[str, frozenset[str]] = {
    "sudo": one_of("-e --edit -l --list -v --validate -k -K -V --version -i --login -s --shell -D --chdir -R"),
    "env": one_of("-S --split-string -C --chdir"),
    "command": one_of("-v -V"),
    "npx": one_of("-c --call"),
    "npm": one_of("-c --call"),
    "uv": one_of("-m --module --directory --project"),
    "poetry": one_of("-C --directory -P --project"),
}


class StartedProgram(NamedTuple):
    """The program that a command line finally starts, and the programs that start it."""

    command: ShellCommand
    through: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return self.command.words[0].text.rpartition("/")[2]


def started_programs(command: ShellCommand) -> Iterator[StartedProgram]:
    """The programs that a command finally starts: the wrapped one, and those of a `bash -c` line."""
    through: list[str] = []
    for _ in range(MAX_NESTING):
        inner = _unwrapped(command)
        if inner is None:
            break
        through.append(_name(command))
        command = inner
    yield StartedProgram(command, tuple(through))
    if _name(command) in _SHELL_NAMES and (line := _command_line(command)) is not None and len(through) < MAX_NESTING:
        for nested in script(line, command.folder)[0]:
            if not (_name(nested) in _SHELL_NAMES and _command_line(nested) is not None):
                yield from started_programs(nested._replace(offset=command.offset, fed=nested.fed or command.fed))


def _name(command: ShellCommand) -> str:
    return command.words[0].text.rpartition("/")[2]


def _command_line(command: ShellCommand) -> str | None:
    """The line of `bash -lc 'line'`, when it is spelled out."""
    for word, following in zip(command.words[1:], command.words[2:], strict=False):
        if re.fullmatch(r"-[a-z]*c", word.text):
            return following.text if following.literal else None
        if not word.text.startswith("-"):
            return None
    return None


def _unwrapped(command: ShellCommand) -> ShellCommand | None:
    if _name(command) in ("python", "python3") and command.argv[1:2] == ("-m",) and command.argv[2:3] in _MODULES:
        program = ShellWord(command.argv[2].replace("_", "-"))
        return command._replace(words=(program, *command.words[3:]))
    for wrapper in WRAPPERS.get(_name(command), ()):
        if (inner := _behind(command, wrapper)) is not None:
            return inner
    return None


def _behind(command: ShellCommand, wrapper: Wrapper) -> ShellCommand | None:
    """The command after a wrapper's name, options and own words; None when there is none or it is unknown."""
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
