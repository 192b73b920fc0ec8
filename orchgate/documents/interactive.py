"""What is known about programs that wait for a person: editors, pagers, prompts, and programs that never end.

One row of a table is one thing known. A row matches when the program, its first words and one of its options are
there; an option of `quiet` makes it silent. Single letters also count inside a cluster (`-qy`). What cannot be told,
such as an argument that may stand for options, is never reported.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from orchgate.documents.shell import Command, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.documents.wrappers import Started


class Wait(NamedTuple):
    """Why a command would wait: `why` completes "`git commit` …", `instead` says what to write."""

    why: str
    instead: str
    certain: bool = True


EDITS, PAGES, ASKS, ENDLESS, LOGIN = (
    "opens an editor",
    "opens a pager",
    "asks before it goes on",
    "never ends by itself",
    "asks for credentials",
)


class Row(NamedTuple):
    """`start`: program names joined by `|`, then the words that must follow; `needs` and `quiet`: options."""

    start: str
    why: str
    instead: str
    needs: str = ""
    quiet: str = ""


_HELP = "--help --version"
_YES = "-y --yes --assume-yes --assumeyes --dry-run --simulate --just-print --no-act"
_SHELL = "opens a shell that waits for input"
_PROMPT = "opens a prompt"
_TERMINAL = "needs a person at a terminal"
_INSTALLS = "install|remove|purge|upgrade|dist-upgrade|full-upgrade|autoremove|reinstall|build-dep"
_EDITING = "write the file with a command, or edit it as part of the change"
_PRINTING = "print it with cat, head or sed -n"

_ROWS = (
    Row("nano|pico|joe|micro|ed|kak|helix|hx|mcedit|gedit|vipw|vigr|sudoedit|vimdiff|gvim", EDITS, _EDITING),
    Row("emacs", EDITS, _EDITING, quiet="-batch --batch --script -script --eval -f --daemon"),
    Row("emacsclient", EDITS, _EDITING, quiet="-e --eval -n --no-wait"),
    Row("crontab", EDITS, "crontab FILE", needs="-e"),
    Row("visudo", EDITS, "visudo -c -f FILE checks a file written otherwise", quiet="-c --check"),
    Row("kubectl|oc edit", EDITS, "kubectl apply -f FILE or kubectl patch"),
    Row("systemctl edit", EDITS, "write the drop-in file, then systemctl daemon-reload", quiet="--stdin"),
    Row("sudo", EDITS, _EDITING, needs="-e --edit"),
    Row("git rebase", EDITS, "git rebase --autosquash without -i, or set GIT_SEQUENCE_EDITOR", needs="-i --interactive --edit-todo"),
    Row("git config", EDITS, "git config KEY VALUE", needs="-e --edit"),
    Row("git branch", EDITS, "git config branch.NAME.description TEXT", needs="--edit-description"),
    Row("git revert|cherry-pick", EDITS, "add --no-edit", needs="-e --edit", quiet="--no-edit"),
    Row("git tag", EDITS, "add -m MESSAGE", needs="-a -s --annotate --sign", quiet="-m -F --message --file -d -v -l"),
    Row("git add|stage", ASKS, "git add PATH", needs="-p -i -e --patch --interactive --edit"),
    Row("git checkout|reset|restore|stash", ASKS, "name the paths", needs="-p --patch"),
    Row("git clean", ASKS, "git clean -f", needs="-i --interactive"),
    Row("git mergetool", ASKS, "resolve the conflict in the files", quiet="-y --no-prompt --tool-help"),
    Row("less|more|most", PAGES, _PRINTING, quiet=_HELP),
    Row("man", PAGES, "man -P cat NAME", quiet="-w -k -f -P --pager --where --path"),
    Row("top", ENDLESS, "top -b -n 1", quiet="-b -l -n1 -bn1"),
    Row("htop|btop|atop|iotop|nvtop|tig|lazygit|ranger|nmtui|dialog|whiptail", _TERMINAL, "use a command that prints and ends"),
    Row("fzf", ASKS, "fzf --filter QUERY", quiet="-f --filter"),
    Row("watch", ENDLESS, "run the command once, or in a loop with a limit"),
    Row("tail", ENDLESS, "tail -n 100, or timeout 60 tail -f", needs="-f -F --follow"),
    Row("journalctl", ENDLESS, "journalctl -n 100 --no-pager", needs="-f --follow"),
    Row("tsc|webpack|rollup|jest|vitest|ava|mocha", ENDLESS, "leave --watch out", needs="--watch --watchAll"),
    Row(f"apt|apt-get|aptitude {_INSTALLS}", ASKS, "add -y", quiet=f"{_YES} -qq -s"),
    Row("yum|dnf|microdnf install|remove|erase|update|upgrade|reinstall|groupinstall|autoremove", ASKS, "add -y", quiet=_YES),
    Row("zypper install|in|remove|rm|update|up|dup", ASKS, "add --non-interactive", quiet=f"{_YES} -n --non-interactive"),
    Row("conda|mamba|micromamba install|remove|uninstall|create|update|upgrade", ASKS, "add --yes", quiet=f"{_YES} -d"),
    Row("pip|pip3 uninstall", ASKS, "add --yes", quiet=_YES),
    Row("npm init|create|innit", ASKS, "add --yes", quiet="-y --yes -f --force --template -t --ci --defaults --default"),
    Row("yarn|pnpm|bun create", ASKS, "add the options that answer its questions", quiet="-y --yes --template -t --ci --defaults"),
    Row("poetry init", ASKS, "add --no-interaction", quiet="-n --no-interaction"),
    Row("npm|pnpm login|adduser", LOGIN, "set NODE_AUTH_TOKEN or write .npmrc"),
    Row("gh auth login", LOGIN, "set GH_TOKEN", quiet="--with-token"),
    Row("gcloud auth login", LOGIN, "gcloud auth activate-service-account", quiet="--cred-file"),
    Row("gcloud init", ASKS, "gcloud config set KEY VALUE"),
    Row("heroku|vercel|netlify|firebase login", LOGIN, "set the token in the environment"),
    Row("docker|podman login", LOGIN, "add --username NAME --password-stdin", quiet="--password-stdin -p --password -u --username"),
    Row("gh pr create", ASKS, "add --title and --body, or --fill", quiet="-t --title -f --fill --fill-first --fill-verbose -w --web --dry-run --recover"),
    Row("gh issue create", ASKS, "add --title and --body", quiet="-t --title -w --web --recover"),
    Row("gh repo delete", ASKS, "add --yes", quiet="--yes --confirm"),
    Row("docker|podman system|image|container|volume|network|builder prune", ASKS, "add --force", quiet="-f --force"),
    Row("terraform|tofu destroy", ASKS, "add -auto-approve", quiet="-auto-approve --auto-approve"),
    Row("pulumi up|destroy", ASKS, "add --yes", quiet=_YES),
    Row("rm|mv|cp|ln", ASKS, "leave -i out", needs="-i -I --interactive", quiet="-f --force"),
    Row("find", ASKS, "use -exec", needs="-ok -okdir"),
    Row("passwd", "asks for a password", "chpasswd reads it from a pipe", quiet="-l -u -d -e -S -x --stdin --lock --unlock --delete --expire --status"),
    Row("gpg|gpg2", ASKS, "gpg --batch --gen-key FILE", needs="--gen-key --full-gen-key --full-generate-key --edit-key", quiet="--batch"),
    Row("openssl req", ASKS, "add -subj /CN=NAME", needs="-new -x509", quiet="-subj -batch -config"),
    Row("poetry|pipenv shell", _SHELL, "poetry run COMMAND"),
    Row("psql", _PROMPT, "add -c QUERY or -f FILE", quiet="-c --command -f --file -l --list"),
    Row("mysql|mariadb", _PROMPT, "add -e QUERY", quiet="-e --execute"),
    Row("mongosh|mongo", _PROMPT, "add --eval CODE", quiet="--eval -f --file"),
    Row("gdb|lldb", _PROMPT, "add --batch", quiet="-batch --batch -b"),
    Row("sftp", _PROMPT, "add -b FILE", quiet="-b"),
    Row("su", _SHELL, "sudo -n -u NAME COMMAND", quiet="-c --command"),
    Row("read", "waits for an answer", "take the answer as an argument", needs="-p"),
)

# Programs whose bare name opens a prompt.
_REPLS = frozenset({"python", "python3", "ipython", "node", "irb", "ghci", "lua", "jshell", "sh", "bash", "zsh", "fish"})
# Also English words: in a sentence or an untagged block they are commands only with an option or a path.
WORDLIKE = frozenset(
    "less more most man top watch select read ed joe find dialog helix micro ranger".split()
)
_STANDS_FOR_OPTIONS = re.compile(r"\$|\.\.\.|…|\[|<[^>]*(?:opt|flag|arg)|`", re.IGNORECASE)


class _Rule(NamedTuple):
    words: tuple[frozenset[str], ...]
    needs: frozenset[str]
    quiet: frozenset[str]
    row: Row


@cache
def _rules() -> Mapping[str, tuple[_Rule, ...]]:
    """The table by program."""
    found: dict[str, tuple[_Rule, ...]] = {}
    for row in _ROWS:
        programs, *words = row.start.split()
        rule = _Rule(
            tuple(frozenset(word.split("|")) for word in words),
            frozenset(row.needs.split()),
            frozenset(row.quiet.split()) | frozenset(_HELP.split()),
            row,
        )
        for program in programs.split("|"):
            found[program] = (*found.get(program, ()), rule)
    return found


def knows(program: str) -> bool:
    """Whether anything is known about a program."""
    return program in _rules() or program in _SPECIAL or program in _REPLS


def waits(started: Started, outer: Command) -> Wait | None:
    """Why a command would wait for a person, or None. `outer` is the command line that started it."""
    command, program = started.command, started.program
    if re.match(r"\$\{?(?:EDITOR|VISUAL)\b", command.words[0].text):
        return Wait(EDITS, _EDITING)
    if not command.words[0].literal:
        return None
    special = _create if program.startswith("create-") and started.through else _SPECIAL.get(program)
    wait = (special(command) if special else None) or _from_table(program, command)
    return None if wait is None or _settled(wait, started, outer) else wait


def password(outer: Command) -> Wait | None:
    """`sudo` without `-n` asks on machines that are not set up for it: worth a word, not a refusal."""
    if outer.words[0].text != "sudo" or len(outer.words) < 2:
        return None
    answered = frozenset("-n -S -A --non-interactive --stdin --askpass -l -v -k -K --list --validate --version -V -h --help".split())
    options: list[Word] = []
    for word in outer.words[1:]:
        if not word.text.startswith("-"):
            break
        options.append(word)
    if has(tuple(options), answered):
        return None
    return Wait("asks for a password on most machines", "sudo -n fails at once instead", certain=False)


def _settled(wait: Wait, started: Started, outer: Command) -> bool:
    """Whether something around the program answers it or ends it."""
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


def _answered(outer: Command) -> bool:
    """Whether the wrapper was told to say yes: `npx --yes create-app`."""
    return any(word.text in ("--yes", "-y") for word in outer.words)


def _from_table(program: str, command: Command) -> Wait | None:
    arguments = command.words[1:]
    if not arguments and program in _REPLS:
        return Wait(_PROMPT, "name a script, or pass the code as an argument")
    for rule in _rules().get(program, ()):
        if _applies(rule, arguments):
            return Wait(rule.row.why, rule.row.instead)
    return None


def _applies(rule: _Rule, arguments: tuple[Word, ...]) -> bool:
    positional = [word.text for word in arguments if not word.text.startswith("-")]
    if len(positional) < len(rule.words):
        return False
    if any(word not in expected for word, expected in zip(positional, rule.words, strict=False)):
        return False
    if any(_STANDS_FOR_OPTIONS.match(word.text) for word in arguments if not word.literal):
        return False
    if has(arguments, rule.quiet, behind_dashes=True):
        return False
    return not rule.needs or has(arguments, rule.needs)


def has(arguments: tuple[Word, ...], options: frozenset[str], *, behind_dashes: bool = False) -> bool:
    """Whether one of the options is there: alone, with `=value`, or its letter in a cluster."""
    letters = {option[1] for option in options if len(option) == 2}
    for word in arguments:
        if word.text == "--" and not behind_dashes:
            return False
        name, _, value = word.text.partition("=")
        if name in options and value != "false":
            return True
        if re.fullmatch(r"-[A-Za-z]{2,6}[0-9]*", name) and letters.intersection(name[1:]):
            return True
    return False


def _git(command: Command) -> Wait | None:
    """`git commit` without a message, `git --paginate`; options before the verb are skipped."""
    arguments = list(command.words[1:])
    while arguments and arguments[0].text.startswith("-"):
        option = arguments.pop(0).text
        if option in ("-p", "--paginate"):
            return Wait(PAGES, "leave --paginate out")
        if option in ("-C", "-c", "--git-dir", "--work-tree", "--namespace") and arguments:
            value = arguments.pop(0).text
            if option == "-c" and value.startswith(("core.editor=", "sequence.editor=")):
                return None
    verb = arguments[0].text if arguments else ""
    rest = tuple(arguments[1:])
    if verb == "commit":
        return _commit(rest)
    return _from_table("git", command._replace(words=(command.words[0], *arguments))) if verb else None


_MESSAGE = frozenset(
    "-m -F -C --message --file --reuse-message --no-edit --fixup --dry-run --short --porcelain -h --help".split()
)


def _commit(arguments: tuple[Word, ...]) -> Wait | None:
    if has(arguments, frozenset({"-p", "--patch", "--interactive"})):
        return Wait(ASKS, "git add PATH, then git commit -m MESSAGE")
    if has(arguments, _MESSAGE) or any(not word.literal and _STANDS_FOR_OPTIONS.match(word.text) for word in arguments):
        return None
    amends = any(word.text == "--amend" for word in arguments)
    return Wait(EDITS, "add --no-edit or -m MESSAGE" if amends else "add -m MESSAGE")


def _container(command: Command) -> Wait | None:
    """`docker run -it`: needs a terminal. `-i` alone only keeps standard input open, `-d` lets it run elsewhere."""
    words = [word.text for word in command.words[1:]]
    own = words[: words.index("--")] if "--" in words else words
    if not {"run", "exec"}.intersection(word for word in own if not word.startswith("-")):
        return None
    clusters = [option for option in own if re.fullmatch(r"-[a-z]{2,4}", option)]
    both = any({"i", "t"} <= set(option) and "d" not in option for option in clusters)
    apart = not {"-i", "--interactive"}.isdisjoint(own) and not {"-t", "--tty"}.isdisjoint(own)
    detached = "-d" in own or "--detach" in own
    return Wait(_TERMINAL, "leave -it out") if (both or apart) and not detached else None


def _vim(command: Command) -> Wait | None:
    arguments = command.words[1:]
    batch = frozenset({"-es", "-Es", "-s", "--headless", "-W", *_HELP.split()})
    leaves = re.compile(r"(?:^|[+:|\s])(?:w?qa?|xa?|cq)!?(?:$|[|\s])")
    if any(word.text in batch or leaves.search(word.text) for word in arguments):
        return None
    return Wait(EDITS, _EDITING)


def _ssh_keygen(command: Command) -> Wait | None:
    arguments = command.words[1:]
    other = frozenset("-l -R -F -y -e -i -B -H -A -K -k -Q -r -G -M -D -s -Y -T -L -I -h".split())
    if any(word.text in other for word in arguments):
        return None
    if any(not word.literal and _STANDS_FOR_OPTIONS.match(word.text) and word.text[:1] != "$" for word in arguments):
        return None
    if not any(word.text.startswith("-N") for word in arguments):
        return Wait("asks for a passphrase", "add -N '' and -f FILE")
    return None if any(word.text.startswith("-f") for word in arguments) else Wait("asks for a file name", "add -f FILE")


def _ssh(command: Command) -> Wait | None:
    """`ssh host` without a command opens a remote shell; with options that take values it is not told apart."""
    arguments = command.words[1:]
    if len(arguments) == 1 and not arguments[0].text.startswith("-"):
        return Wait("opens a remote shell that waits for input", "ssh HOST COMMAND")
    return None


def _sqlite(command: Command) -> Wait | None:
    arguments = command.words[1:]
    if len(arguments) <= 1 and not any(word.text.startswith("-") for word in arguments):
        return Wait(_PROMPT, "sqlite3 FILE QUERY")
    return None


def _interpreter(command: Command) -> Wait | None:
    """`bash -i`, `node -i`, `php -a`: what stands behind a script's name is the script's."""
    letters = ""
    for option in command.argv[1:]:
        if option == "--interactive":
            letters += "i"
        elif re.fullmatch(r"-[A-Za-z]+", option):
            letters += option[1:]
        else:
            break
    wanted = "a" if command.words[0].text == "php" else "i"
    return Wait(_PROMPT, "name a script") if wanted in letters and not set("cep").intersection(letters) else None


def _python(command: Command) -> Wait | None:
    texts = [word.text for word in command.words[1:]]
    if texts[:1] == ["-m"] and len(texts) > 1:
        if texts[1] == "pip":
            return _from_table("pip", command._replace(words=command.words[2:]))
        return Wait(_PROMPT, "run the script without the debugger") if texts[1] in ("pdb", "ipdb") else None
    return Wait(_PROMPT, "leave -i out") if texts[:1] == ["-i"] else None


def _select(command: Command) -> Wait | None:
    """The shell's menu, not the SQL statement."""
    waits_for_choice = len(command.words) > 3 and command.words[2].text == "in"
    return Wait("waits for a choice", "name the choice") if waits_for_choice else None


def _terraform(command: Command) -> Wait | None:
    texts = [word.text for word in command.words[1:]]
    plain = texts[:1] == ["apply"] and all(re.fullmatch(r"-(?!auto-approve|-auto-approve|help).*", text) for text in texts[1:])
    return Wait(ASKS, "add -auto-approve, or apply a saved plan") if plain else None


def _create(command: Command) -> Wait | None:
    quiet = frozenset("-y --yes --template -t --ci --defaults --default --no-interactive --non-interactive --help".split())
    return None if has(command.words[1:], quiet) else Wait(ASKS, "npx --yes, and the options that answer its questions")


_SPECIAL: Mapping[str, Callable[[Command], Wait | None]] = {
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
