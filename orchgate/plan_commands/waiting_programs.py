"""The table of programs that wait for a person: one row is one way to make a program wait.

A row matches when the program, its first words and one of its options are there; an option of `quiet` makes it
silent. Single letters also count inside a cluster (`-qy`). What is uncertain, such as an argument that may be a
placeholder for options, never matches.
"""

from __future__ import annotations

import re
from functools import cache

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.plan_commands.shell import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.plan_commands.shell import ShellCommand, ShellWord


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


class WaitingProgram(NamedTuple):
    """`start`: program names joined by `|`, then the words that must follow; `needs` and `quiet`: options."""

    start: str
    why: str
    instead: str
    needs: str = ""
    quiet: str = ""


HELP = "--help --version"
YES = "-y --yes --assume-yes --assumeyes --dry-run --simulate --just-print --no-act"
SHELL = "opens a shell that waits for input"
PROMPT = "opens a prompt"
TERMINAL = "needs a person at a terminal"
INSTALLS = "install|remove|purge|upgrade|dist-upgrade|full-upgrade|autoremove|reinstall|build-dep"
EDITING = "write the file with a command, or edit it as part of the change"
PRINTING = "print it with `cat`, `head` or `sed -n`"

ROWS = (
    WaitingProgram("nano|pico|joe|micro|ed|kak|helix|hx|mcedit|gedit|vipw|vigr|sudoedit|vimdiff|gvim", EDITS, EDITING),
    WaitingProgram("emacs", EDITS, EDITING, quiet="-batch --batch --script -script --eval -f --daemon"),
    WaitingProgram("emacsclient", EDITS, EDITING, quiet="-e --eval -n --no-wait"),
    WaitingProgram("crontab", EDITS, "crontab FILE", needs="-e"),
    WaitingProgram(
        "visudo", EDITS, "write the file another way, and check it with `visudo -c -f FILE`", quiet="-c --check"
    ),
    WaitingProgram("kubectl|oc edit", EDITS, "use `kubectl apply -f FILE` or `kubectl patch`"),
    WaitingProgram(
        "systemctl edit", EDITS, "write the drop-in file, then run `systemctl daemon-reload`", quiet="--stdin"
    ),
    WaitingProgram("sudo", EDITS, EDITING, needs="-e --edit"),
    WaitingProgram(
        "git rebase",
        EDITS,
        "leave out `-i`, or set GIT_SEQUENCE_EDITOR",
        needs="-i --interactive --edit-todo",
    ),
    WaitingProgram("git config", EDITS, "git config KEY VALUE", needs="-e --edit"),
    WaitingProgram("git branch", EDITS, "git config branch.NAME.description TEXT", needs="--edit-description"),
    WaitingProgram("git revert|cherry-pick", EDITS, "add `--no-edit`", needs="-e --edit", quiet="--no-edit"),
    WaitingProgram(
        "git tag", EDITS, "add `-m MESSAGE`", needs="-a -s --annotate --sign", quiet="-m -F --message --file -d -v -l"
    ),
    WaitingProgram("git add|stage", ASKS, "git add PATH", needs="-p -i -e --patch --interactive --edit"),
    WaitingProgram("git checkout|reset|restore|stash", ASKS, "name the paths", needs="-p --patch"),
    WaitingProgram("git clean", ASKS, "git clean -f", needs="-i --interactive"),
    WaitingProgram("git mergetool", ASKS, "resolve the conflict in the files", quiet="-y --no-prompt --tool-help"),
    WaitingProgram("less|more|most", PAGES, PRINTING, quiet=HELP),
    WaitingProgram("man", PAGES, "man -P cat NAME", quiet="-w -k -f -P --pager --where --path"),
    WaitingProgram("top", ENDLESS, "top -b -n 1", quiet="-b -l -n1 -bn1"),
    WaitingProgram(
        "htop|btop|atop|iotop|nvtop|tig|lazygit|ranger|nmtui|dialog|whiptail",
        TERMINAL,
        "use a command that prints and ends",
    ),
    WaitingProgram("fzf", ASKS, "fzf --filter QUERY", quiet="-f --filter"),
    WaitingProgram("watch", ENDLESS, "run the command once, or in a loop with a limit"),
    WaitingProgram("tail", ENDLESS, "use `tail -n 100`, or `timeout 60 tail -f`", needs="-f -F --follow"),
    WaitingProgram("journalctl", ENDLESS, "journalctl -n 100 --no-pager", needs="-f --follow"),
    WaitingProgram(
        "tsc|webpack|rollup|jest|vitest|ava|mocha", ENDLESS, "leave out `--watch`", needs="--watch --watchAll"
    ),
    WaitingProgram(f"apt|apt-get|aptitude {INSTALLS}", ASKS, "add `-y`", quiet=f"{YES} -qq -s"),
    WaitingProgram(
        "yum|dnf|microdnf install|remove|erase|update|upgrade|reinstall|groupinstall|autoremove",
        ASKS,
        "add `-y`",
        quiet=YES,
    ),
    WaitingProgram(
        "zypper install|in|remove|rm|update|up|dup",
        ASKS,
        "add `--non-interactive`",
        quiet=f"{YES} -n --non-interactive",
    ),
    WaitingProgram(
        "conda|mamba|micromamba install|remove|uninstall|create|update|upgrade", ASKS, "add `--yes`", quiet=f"{YES} -d"
    ),
    WaitingProgram("pip|pip3 uninstall", ASKS, "add `--yes`", quiet=YES),
    WaitingProgram(
        "npm init|create|innit",
        ASKS,
        "add `--yes`",
        quiet="-y --yes -f --force --template -t --ci --defaults --default",
    ),
    WaitingProgram(
        "yarn|pnpm|bun create",
        ASKS,
        "add the options that answer its questions",
        quiet="-y --yes --template -t --ci --defaults",
    ),
    WaitingProgram("poetry init", ASKS, "add `--no-interaction`", quiet="-n --no-interaction"),
    WaitingProgram("npm|pnpm login|adduser", LOGIN, "set NODE_AUTH_TOKEN or write .npmrc"),
    WaitingProgram("gh auth login", LOGIN, "set GH_TOKEN", quiet="--with-token"),
    WaitingProgram("gcloud auth login", LOGIN, "gcloud auth activate-service-account", quiet="--cred-file"),
    WaitingProgram("gcloud init", ASKS, "gcloud config set KEY VALUE"),
    WaitingProgram("heroku|vercel|netlify|firebase login", LOGIN, "set the token in the environment"),
    WaitingProgram(
        "docker|podman login",
        LOGIN,
        "add `--username NAME --password-stdin`",
        quiet="--password-stdin -p --password -u --username",
    ),
    WaitingProgram(
        "gh pr create",
        ASKS,
        "add `--title` and `--body`, or `--fill`",
        quiet="-t --title -f --fill --fill-first --fill-verbose -w --web --dry-run --recover",
    ),
    WaitingProgram("gh issue create", ASKS, "add `--title` and `--body`", quiet="-t --title -w --web --recover"),
    WaitingProgram("gh repo delete", ASKS, "add `--yes`", quiet="--yes --confirm"),
    WaitingProgram(
        "docker|podman system|image|container|volume|network|builder prune", ASKS, "add `--force`", quiet="-f --force"
    ),
    WaitingProgram("terraform|tofu destroy", ASKS, "add `-auto-approve`", quiet="-auto-approve --auto-approve"),
    WaitingProgram("pulumi up|destroy", ASKS, "add `--yes`", quiet=YES),
    WaitingProgram("rm|mv|cp|ln", ASKS, "leave out `-i`", needs="-i -I --interactive", quiet="-f --force"),
    WaitingProgram("find", ASKS, "use `-exec`", needs="-ok -okdir"),
    WaitingProgram(
        "passwd",
        "asks for a password",
        "use `chpasswd`, which reads it from a pipe",
        quiet="-l -u -d -e -S -x --stdin --lock --unlock --delete --expire --status",
    ),
    WaitingProgram(
        "gpg|gpg2",
        ASKS,
        "gpg --batch --gen-key FILE",
        needs="--gen-key --full-gen-key --full-generate-key --edit-key",
        quiet="--batch",
    ),
    WaitingProgram("openssl req", ASKS, "add `-subj /CN=NAME`", needs="-new -x509", quiet="-subj -batch -config"),
    WaitingProgram("poetry|pipenv shell", SHELL, "poetry run COMMAND"),
    WaitingProgram("psql", PROMPT, "add `-c QUERY` or `-f FILE`", quiet="-c --command -f --file -l --list"),
    WaitingProgram("mysql|mariadb", PROMPT, "add `-e QUERY`", quiet="-e --execute"),
    WaitingProgram("mongosh|mongo", PROMPT, "add `--eval CODE`", quiet="--eval -f --file"),
    WaitingProgram("gdb|lldb", PROMPT, "add `--batch`", quiet="-batch --batch -b"),
    WaitingProgram("sftp", PROMPT, "add `-b FILE`", quiet="-b"),
    WaitingProgram("su", SHELL, "sudo -n -u NAME COMMAND", quiet="-c --command"),
    WaitingProgram("read", "waits for an answer", "take the answer as an argument", needs="-p"),
)

# Programs whose bare name opens a prompt.
REPLS = frozenset({"python", "python3", "ipython", "node", "irb", "ghci", "lua", "jshell", "sh", "bash", "zsh", "fish"})
_MAY_BE_OPTIONS = lazy(r"\$|\.\.\.|…|\[|<[^>]*(?:opt|flag|arg)|`", re.IGNORECASE)


def may_hold_options(arguments: Sequence[ShellWord]) -> bool:
    """Whether an argument may be a placeholder for options, such as `$FLAGS`, `...` and `<options>`."""
    return any(_MAY_BE_OPTIONS.match(word.text) for word in arguments if not word.literal)


class _RowMatcher(NamedTuple):
    words: tuple[frozenset[str], ...]
    needs: frozenset[str]
    quiet: frozenset[str]
    row: WaitingProgram


@cache
def rules() -> Mapping[str, tuple[_RowMatcher, ...]]:
    """The table by program."""
    found: dict[str, tuple[_RowMatcher, ...]] = {}
    for row in ROWS:
        programs, *words = row.start.split()
        rule = _RowMatcher(
            tuple(one_of(word.replace("|", " ")) for word in words),
            one_of(row.needs),
            one_of(row.quiet) | one_of(HELP),
            row,
        )
        for program in programs.split("|"):
            found[program] = (*found.get(program, ()), rule)
    return found


def wait_by_table(program: str, command: ShellCommand) -> Wait | None:
    arguments = command.words[1:]
    if not arguments and program in REPLS:
        return Wait(PROMPT, "name a script, or pass the code as an argument")
    for rule in rules().get(program, ()):
        if _applies(rule, arguments):
            return Wait(rule.row.why, rule.row.instead)
    return None


def _applies(rule: _RowMatcher, arguments: tuple[ShellWord, ...]) -> bool:
    positional = [word.text for word in arguments if not word.text.startswith("-")]
    if len(positional) < len(rule.words):
        return False
    if any(word not in expected for word, expected in zip(positional, rule.words, strict=False)):
        return False
    if may_hold_options(arguments):
        return False
    if has_option(arguments, rule.quiet, behind_dashes=True):
        return False
    return not rule.needs or has_option(arguments, rule.needs)


def has_option(arguments: tuple[ShellWord, ...], options: frozenset[str], *, behind_dashes: bool = False) -> bool:
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
