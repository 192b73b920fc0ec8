"""What a command comes down to: the program that it runs in the end, and the names that it asks that one for."""

from __future__ import annotations

import re
from collections import deque

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.plan_commands.shell import ShellWord, folder_from, one_of, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.plan_commands.shell import ShellCommand


MAX_NESTING = 8
_ASSIGNMENT = lazy(r"[A-Za-z_][A-Za-z0-9_]*=")
_MODULES = (("nox",), ("pip",), ("pre_commit",), ("orchgate",))  # what `python -m` starts under another name
SHELL_NAMES = frozenset({"sh", "bash", "zsh", "dash", "ksh"})


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
    if _name(command) in SHELL_NAMES and (line := command_line(command)) is not None and len(through) < MAX_NESTING:
        for nested in script(line, command.folder)[0]:
            if not (_name(nested) in SHELL_NAMES and command_line(nested) is not None):
                yield from started_programs(nested._replace(offset=command.offset, fed=nested.fed or command.fed))


def _name(command: ShellCommand) -> str:
    return command.words[0].text.rpartition("/")[2]


def command_line(command: ShellCommand) -> str | None:
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
    return behind_wrapper(command)


def behind_wrapper(command: ShellCommand) -> ShellCommand | None:
    """The command that another one starts, such as the `pytest` of `timeout 5 pytest`; None where it starts none."""
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


# Which names a command uses: the `lint` of `npm run lint`, the `dist` of `make -C docs dist`.
#
# Only what is certain counts: a workspace, an option that may take the next word, or an unknown folder means that no
# name of the command is looked up.


class RequestedName(NamedTuple):
    """One name that a command uses.

    kind    "script", "target", "session", "hook", "pipeline" or "codex-pipeline"
    folder  where the file that defines it is looked for
    file    that file, when the command names it
    loose   the program also runs other things by that name, so that only a near miss counts as a typo
    """

    kind: str
    name: str
    folder: str
    file: str = ""
    loose: bool = False


def requested_names(started: StartedProgram) -> list[RequestedName]:
    """The names that a command uses; none when it is unknown where they are defined."""
    read = _READERS.get(started.program.partition("@")[0])
    if read is None or started.command.folder is None or not started.command.words[0].literal:
        return []
    return read(started.command)


_NPM_FLAGS = one_of("-s --silent --quiet -q --ignore-scripts --foreground-scripts -d -dd --verbose --no-color")
# Options that spread a script over packages, or make a missing one harmless.
_SPREAD = lazy(r"-w|--workspace|-r$|--recursive|--filter|-F|--if-present")
VERB_AND_NAME = 2
_NPM_FOLDERS = frozenset({"--prefix", "-C", "--dir", "--cwd"})


def _scripts(command: ShellCommand) -> list[RequestedName]:
    """npm, yarn, pnpm and bun."""
    texts = command.argv
    words = deque(command.words[1 : texts.index("--") if "--" in texts else None])
    if any(_SPREAD.match(word.text) for word in words):
        return []
    folder = command.folder
    rest: list[ShellWord] = []
    while words:
        word = words.popleft()
        option, _, value = word.text.partition("=")
        if option in _NPM_FOLDERS:
            target = _value_of(word, value, words)
            folder = folder_from(folder, target)
        elif not word.text.startswith("-"):
            rest.append(word)
        elif len(rest) < VERB_AND_NAME and word.text not in _NPM_FLAGS:
            return []
    rest = rest[:VERB_AND_NAME]
    known = folder is not None and all(word.literal for word in rest)
    return _script_name(command.words[0].text, [word.text for word in rest], folder or "") if known else []


def _value_of(option: ShellWord, value: str, words: deque[ShellWord]) -> ShellWord:
    """The value of an option: what follows its `=`, or the next word."""
    if value:
        return ShellWord(value, option.literal)
    return words.popleft() if words else ShellWord("", literal=False)


def _script_name(program: str, texts: list[str], folder: str) -> list[RequestedName]:
    if program == "npm" and texts[:1] in (["test"], ["t"], ["tst"]):
        return [RequestedName("script", "test", folder)]
    if texts[:1] and texts[0] in ("run", "run-script") and len(texts) > 1:
        builtin = texts[1] == "env"
        return [] if builtin else [RequestedName("script", texts[1], folder, loose=program in ("yarn", "bun"))]
    if program != "npm" and texts and ":" in texts[0]:
        return [RequestedName("script", texts[0], folder, loose=True)]
    return []


def _targets(command: ShellCommand) -> list[RequestedName]:
    folder = command.folder
    file = ShellWord("")
    names: list[ShellWord] = []
    words = deque(command.words[1:])
    while words and folder is not None:
        word = words.popleft()
        option, _, value = word.text.partition("=")
        if option in ("-C", "--directory", "-f", "--file", "--makefile"):
            target = _value_of(word, value, words)
            folder, file = (folder_from(folder, target), file) if option in ("-C", "--directory") else (folder, target)
        elif word.text in ("-I", "-o", "-W", "--eval", "-E"):
            return []
        elif word.text in ("-j", "-l", "--jobs") and words and words[0].text.isdigit():
            words.popleft()
        elif re.match(r"-[CfIoWE].|--eval", word.text):
            return []
        elif not word.text.startswith("-") and "=" not in word.text:
            names.append(word)
    path = folder_from(folder, file) if file.text else ""
    if folder is None or path is None:
        return []
    return [RequestedName("target", word.text, folder, path) for word in names if word.literal and word.text]


def _sessions(command: ShellCommand) -> list[RequestedName]:
    """Nox takes any number of names after `-s`."""
    file = ShellWord("")
    names: list[ShellWord] = []
    taking = False
    words = deque(command.words[1:])
    while words:
        word = words.popleft()
        option, _, value = word.text.partition("=")
        if word.text == "--":
            break
        if re.fullmatch(r"-[rRxv]*[se]|--sessions?", option):
            taking = True
            names.extend([ShellWord(value, word.literal)] if value else [])
        elif option in ("-f", "--noxfile") and (value or words):
            file, taking = ShellWord(value, word.literal) if value else words.popleft(), False
        elif word.text.startswith("-"):
            taking = False
        elif taking:
            names.append(word)
    path = folder_from(command.folder, file) if file.text else ""
    if command.folder is None or path is None:
        return []
    return [
        RequestedName("session", _session(word.text), command.folder, path) for word in names if _session_literal(word)
    ]


def _session_literal(word: ShellWord) -> bool:
    return bool(word.text) and (word.literal or re.fullmatch(r"[\w-]+\([^()$*?]*\)", word.text) is not None)


def _session(name: str) -> str:
    """A session's name without interpreter and parameters: `tests-3.12(django='5')` is `tests`."""
    return re.sub(r"-(?:pypy)?\d+(?:\.\d+)*t?$", "", name.partition("(")[0])


_HOOK_VALUES = one_of(
    "--color --hook-stage --stage --from-ref --source -s --to-ref --origin -o --pre-rebase-upstream --pre- "
    "rebase-branch --commit-msg-filename --prepare-commit-message-source --commit-object-name --remote-name "
    "--remote-url --local-branch --remote-branch --checkout-type --is-squash-merge --rewrite-command"
)


def _hooks(command: ShellCommand) -> list[RequestedName]:
    words = deque(command.words[1:])
    if not words or words.popleft().text != "run":
        return []
    while words:
        word = words.popleft()
        if word.text in ("-c", "--config", "--files") or word.text.startswith("--config="):
            return []
        if word.text in _HOOK_VALUES and words:
            words.popleft()
        elif not word.text.startswith("-"):
            return [RequestedName("hook", word.text, "")] if word.literal else []
    return []


def _pipelines(command: ShellCommand) -> list[RequestedName]:
    return _first_after(command, ("run", "plan"), "pipeline")


def _codex_pipelines(command: ShellCommand) -> list[RequestedName]:
    found = _first_after(command, ("start", "plan"), "codex-pipeline")
    return [request._replace(name=request.name.removesuffix("-devtools")) for request in found]


def _first_after(command: ShellCommand, verbs: tuple[str, ...], kind: str) -> list[RequestedName]:
    words = command.words
    asks = len(words) > 2 and words[1].text in verbs and words[2].literal and not words[2].text.startswith("-")
    return [RequestedName(kind, words[2].text, "")] if asks else []


_READERS: Mapping[str, Callable[[ShellCommand], list[RequestedName]]] = {
    "npm": _scripts,
    "yarn": _scripts,
    "pnpm": _scripts,
    "bun": _scripts,
    "make": _targets,
    "gmake": _targets,
    "nox": _sessions,
    "pre-commit": _hooks,
    "orchgate": _pipelines,
    "codex-orchestrator": _codex_pipelines,
    "codex-orch": _codex_pipelines,
}
PROGRAMS = frozenset(_READERS)
