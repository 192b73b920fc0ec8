"""Why a command would wait for a person: by the table of `waiting_programs`, and for some programs by code.

`git log`, `git diff` and the like are never reported: they page only when a person reads their output on a terminal.
"""

from __future__ import annotations

import itertools
import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.plan_commands.shell import one_of
from orchgate.plan_commands.waiting_programs import (
    ASKS,
    EDITING,
    EDITS,
    ENDLESS,
    HELP,
    PAGES,
    PROMPT,
    REPLS,
    TERMINAL,
    Wait,
    has_option,
    may_hold_options,
    rules,
    wait_by_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.plan_commands.requested_names import StartedProgram
    from orchgate.plan_commands.shell import ShellCommand, ShellWord

# Also English words: in a sentence or an untagged block they are commands only with an option or a path.
WORDLIKE = one_of("less more most man top watch select read ed joe find dialog helix micro ranger")


def knows(program: str) -> bool:
    """Whether anything is known about a program."""
    return program in rules() or program in _SPECIAL or program in REPLS


def why_it_waits(started: StartedProgram, outer: ShellCommand) -> Wait | None:
    """Why a command would wait for a person, or None. `outer` is the command line that started it."""
    command, program = started.command, started.program
    if re.match(r"\$\{?(?:EDITOR|VISUAL)\b", command.words[0].text):
        return Wait(EDITS, EDITING)
    if not command.words[0].literal:
        return None
    special = _create if program.startswith("create-") and started.through else _SPECIAL.get(program)
    wait = (special(command) if special else None) or wait_by_table(program, command)
    return None if wait is None or _answered_or_ended(wait, started, outer) else wait


def password(outer: ShellCommand) -> Wait | None:
    """`sudo` without `-n` asks on machines that are not set up for it: a warning."""
    if outer.words[0].text != "sudo" or len(outer.words) < 2:
        return None
    answered = one_of(
        "-n -S -A --non-interactive --stdin --askpass -l -v -k -K --list --validate --version -V -h --help"
    )
    own = itertools.takewhile(lambda word: word.text.startswith("-"), outer.words[1:])
    if has_option(tuple(own), answered):
        return None
    return Wait("asks for a password on most machines", "use `sudo -n`, which fails instead of asking", certain=False)


def _answered_or_ended(wait: Wait, started: StartedProgram, outer: ShellCommand) -> bool:
    """Whether something around the program answers its question or ends it."""
    command = started.command
    if wait.why == ENDLESS:
        ended = {"timeout", "gtimeout", "nohup"}.intersection(started.through)
        return bool(ended) or command.background or command.captured
    if command.fed:
        return True
    if wait.why == EDITS:
        return not {"EDITOR", "VISUAL", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "KUBE_EDITOR"}.isdisjoint(command.env)
    if wait.why == PAGES:
        return command.captured or not {"PAGER", "MANPAGER", "GIT_PAGER"}.isdisjoint(command.env)
    return wait.why == ASKS and ("CI" in command.env or _answered(outer))


def _answered(outer: ShellCommand) -> bool:
    """Whether the wrapper answers yes: `npx --yes create-app`."""
    return any(word.text in ("--yes", "-y") for word in outer.words)


def _git(command: ShellCommand) -> Wait | None:
    """`git commit` without a message, `git --paginate`; options before the verb are skipped."""
    arguments = list(command.words[1:])
    while arguments and arguments[0].text.startswith("-"):
        option = arguments.pop(0).text
        if option in ("-p", "--paginate"):
            return Wait(PAGES, "leave out `--paginate`")
        if option in ("-C", "-c", "--git-dir", "--work-tree", "--namespace") and arguments:
            value = arguments.pop(0).text
            if option == "-c" and value.startswith(("core.editor=", "sequence.editor=")):
                return None
    verb = arguments[0].text if arguments else ""
    rest = tuple(arguments[1:])
    if verb == "commit":
        return _commit(rest)
    return wait_by_table("git", command._replace(words=(command.words[0], *arguments))) if verb else None


_MESSAGE = one_of("-m -F -C --message --file --reuse-message --no-edit --fixup --dry-run --short --porcelain -h --help")


def _commit(arguments: tuple[ShellWord, ...]) -> Wait | None:
    if has_option(arguments, frozenset({"-p", "--patch", "--interactive"})):
        return Wait(ASKS, "git add PATH && git commit -m MESSAGE")
    if has_option(arguments, _MESSAGE) or may_hold_options(arguments):
        return None
    amends = any(word.text == "--amend" for word in arguments)
    return Wait(EDITS, "add `--no-edit` or `-m MESSAGE`" if amends else "add `-m MESSAGE`")


def _container(command: ShellCommand) -> Wait | None:
    """`docker run -it`: needs a terminal. `-i` alone only keeps standard input open, `-d` lets it run elsewhere."""
    words = [word.text for word in command.words[1:]]
    own = words[: words.index("--")] if "--" in words else words
    if not {"run", "exec"}.intersection(word for word in own if not word.startswith("-")):
        return None
    clusters = [option for option in own if re.fullmatch(r"-[a-z]{2,4}", option)]
    both = any({"i", "t"} <= set(option) and "d" not in option for option in clusters)
    apart = not {"-i", "--interactive"}.isdisjoint(own) and not {"-t", "--tty"}.isdisjoint(own)
    detached = "-d" in own or "--detach" in own
    return Wait(TERMINAL, "leave out `-it`") if (both or apart) and not detached else None


_LEAVES = lazy(r"(?:^|[:|\s])(?:w?qa?|xa?|cq)!?(?:$|[|\s])")


def _vim(command: ShellCommand) -> Wait | None:
    arguments = command.words[1:]
    batch = frozenset({"-es", "-Es", "-s", "--headless", "-W", *one_of(HELP)})
    typed = [word.text[1:] for word in arguments if word.text.startswith("+")]
    typed += [code.text for option, code in itertools.pairwise(arguments) if option.text in ("-c", "--cmd")]
    if any(word.text in batch for word in arguments) or any(_LEAVES.search(code) for code in typed):
        return None
    return Wait(EDITS, EDITING)


def _ssh_keygen(command: ShellCommand) -> Wait | None:
    arguments = command.words[1:]
    other = one_of("-l -R -F -y -e -i -B -H -A -K -k -Q -r -G -M -D -s -Y -T -L -I -h")
    if any(word.text in other for word in arguments):
        return None
    if may_hold_options([word for word in arguments if not word.text.startswith("$")]):
        return None
    if not any(word.text.startswith("-N") for word in arguments):
        return Wait("asks for a passphrase", "add `-N ''` and `-f FILE`")
    return (
        None if any(word.text.startswith("-f") for word in arguments) else Wait("asks for a file name", "add `-f FILE`")
    )


def _ssh(command: ShellCommand) -> Wait | None:
    """`ssh host` without a command opens a remote shell; with options, which may take values, that is unknown."""
    arguments = command.words[1:]
    if len(arguments) == 1 and not arguments[0].text.startswith("-"):
        return Wait("opens a remote shell that waits for input", "ssh HOST COMMAND")
    return None


def _sqlite(command: ShellCommand) -> Wait | None:
    arguments = command.words[1:]
    if len(arguments) <= 1 and not any(word.text.startswith("-") for word in arguments):
        return Wait(PROMPT, "sqlite3 FILE QUERY")
    return None


def _interpreter(command: ShellCommand) -> Wait | None:
    """`bash -i`, `node -i`, `php -a`: what follows a script's name belongs to the script."""
    letters = ""
    for option in command.argv[1:]:
        if option == "--interactive":
            letters += "i"
        elif re.fullmatch(r"-[A-Za-z]+", option):
            letters += option[1:]
        else:
            break
    wanted = "a" if command.words[0].text == "php" else "i"
    return Wait(PROMPT, "name a script") if wanted in letters and not set("cep").intersection(letters) else None


def _python(command: ShellCommand) -> Wait | None:
    texts = [word.text for word in command.words[1:]]
    if texts[:1] == ["-m"] and texts[1:2] in (["pdb"], ["ipdb"]):
        return Wait(PROMPT, "run the script without the debugger")
    return Wait(PROMPT, "leave out `-i`") if texts[:1] == ["-i"] else None


def _select(command: ShellCommand) -> Wait | None:
    """The shell's menu, not the SQL statement."""
    waits_for_choice = len(command.words) > 3 and command.words[2].text == "in"
    return Wait("waits for a choice", "name the choice") if waits_for_choice else None


def _terraform(command: ShellCommand) -> Wait | None:
    texts = [word.text for word in command.words[1:]]
    plain = texts[:1] == ["apply"] and all(
        re.fullmatch(r"-(?!auto-approve|-auto-approve|help).*", text) for text in texts[1:]
    )
    return Wait(ASKS, "add `-auto-approve`, or apply a saved plan") if plain else None


def _create(command: ShellCommand) -> Wait | None:
    quiet = one_of("-y --yes --template -t --ci --defaults --default --no-interactive --non-interactive --help")
    return (
        None
        if has_option(command.words[1:], quiet)
        else Wait(ASKS, "use `npx --yes` and the options that answer its questions")
    )


_SPECIAL: Mapping[str, Callable[[ShellCommand], Wait | None]] = {
    "git": _git,
    "docker": _container,
    "podman": _container,
    "nerdctl": _container,
    "kubectl": _container,
    "sh": _interpreter,
    "bash": _interpreter,
    "zsh": _interpreter,
    "fish": _interpreter,
    "node": _interpreter,
    "php": _interpreter,
    "select": _select,
    "vim": _vim,
    "vi": _vim,
    "nvim": _vim,
    "ssh-keygen": _ssh_keygen,
    "ssh": _ssh,
    "sqlite3": _sqlite,
    "python": _python,
    "python3": _python,
    "terraform": _terraform,
    "tofu": _terraform,
}
