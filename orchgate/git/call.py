"""One git call: pinned against the user's settings, return code checked, no network, nothing written."""

from __future__ import annotations

import os

from orchgate.errors import GitError, NotARepository
from orchgate.lib import process
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, contextmanager, suppress

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO

# `core.fsmonitor=false`: a user's monitor program has no place inside the gate.
# `core.bigFileThreshold`: above it git shows no lines; renameLimit: above it no renames. Both are git's own defaults.
# `diff.orderFile`: where that file is missing, git diffs nothing and has no status either.
PINNED = (
    "git",
    "--no-pager",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "core.bigFileThreshold=512m",
    "-c",
    "diff.renameLimit=1000",
    "-c",
    "diff.orderFile=/dev/null",
)
# For calls that write: a fetch of ours would run `reference-transaction`, an index of ours `post-index-change`.
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
# For calls that use the network: whoever is asked is configured, and no other program is. Nobody tidies up afterwards
# (`gc.recentObjectsHook`), and what a repository borrows from is not asked for its references. What git says there is
# quoted, so it shall not speak of GIT_GRAFT_FILE, which is ours.
ONLINE = (
    *NO_HOOKS,
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "core.alternateRefsCommand=:"),
    *("-c", "advice.graftFileDeprecated=false"),
)
# Options every diff gets; each one answers a setting that made a plain `git diff` lie or crash.
DIFF_PINNED = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "-O/dev/null",
    "--submodule=short",
    "--ignore-submodules=none",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--diff-algorithm=default",
    "--no-indent-heuristic",
    "--inter-hunk-context=0",
    "-M",
)
# What ties a process to one repository (`git rev-parse --local-env-vars`): scrubbed for work in another one.
LOCAL_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_QUARANTINE_PATH",
    }
)
_DROPPED = (
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_TRACE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
# What every call sees.
# Reading must never refresh, and so write, the developer's index; nothing may ask a question or reach for the network:
# a partial clone would fetch missing blobs in the middle of a commit, and unlike `protocol.allow` in a configuration,
# GIT_ALLOW_PROTOCOL cannot be overruled by the user's `protocol.<name>.allow`.
# Replaced and grafted objects exist on this machine only: what lands is the real ones.
_FIXED = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
}
OLDEST = (2, 29)  # the first git that knows `fetch --no-write-fetch-head`
# How git answers to an option that it does not know.
_OF_OPTIONS = lazy(r"(?im)^usage: |unknown (?:option|switch)|invalid option|unrecognized argument|bad revision '--")
_VERSION = lazy(r"(\d+)\.(\d+)[\w.]*")
_EMPTY = "ORCHGATE_EMPTY"  # the variable of an empty value
FETCH_OBJECTS = "git fetch --refetch --no-filter"  # brings what a partial clone left out


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what binds it to a repository.

    git exports GIT_DIR to hooks and it beats `git -C`: without this, a call in another work tree would write to the
    developer's repository.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in LOCAL_VARIABLES and not name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))
    }


def setting(name: str, value: str, variable: str) -> tuple[str, ...]:
    """Options that give a setting a value, which the environment variable holds, too.

    `--config-env` is for names with "=", such as a remote's may be, and younger than the oldest git that we work with.
    """
    return (f"--config-env={name}={variable}",) if "=" in name else ("-c", f"{name}={value}")


class Git:
    """git in one place with one environment. `options` come before every verb."""

    def __init__(self, cwd: str | None, environ: Mapping[str, str], options: tuple[str, ...] = ()) -> None:
        self.cwd = cwd
        self._options = (*PINNED, *options)
        self.env = {name: value for name, value in environ.items() if name not in _DROPPED}
        self.env |= _FIXED

    def __call__(self, *args: str, input: bytes = b"") -> bytes:  # noqa: A002 -- subprocess's own name
        """Standard output. Raises GitError with git's own words when it fails."""
        completed = self.attempt(*args, input=input)
        if completed.code != 0:
            raise failed(args, completed.stderr)
        return completed.stdout

    def attempt(self, *args: str, input: bytes = b"", timeout: float | None = None) -> process.Completed:  # noqa: A002
        """The completed call, whatever its code; after `timeout` seconds it is ended."""
        return process.run(
            (*self._options, *args), cwd=self.cwd, env=self.env, input=input, timeout=timeout, own_group=False
        )

    def attended(self, *args: str, patience: float) -> process.Completed:
        """As `attempt`, for calls that talk to a server, which are given up after `patience` seconds of silence."""
        from orchgate.lib import attended

        return attended.run((*self._options, *args), cwd=self.cwd, env=self.env, patience=patience)

    def ignored(self, paths: Iterable[str]) -> frozenset[str]:
        """Those of some paths that git ignores, tracked or not, whether they are there or not. Raises GitError."""
        # This verb takes paths and no patterns, and refuses to be told so.
        options = tuple(option for option in self._options if option != "--literal-pathspecs")
        argv = (*options, "check-ignore", "-z", "--stdin", "--no-index")
        asked = os.fsencode("".join(f"{path}\0" for path in paths))
        completed = process.run(argv, cwd=self.cwd, env=self.env, input=asked, own_group=False)
        if completed.code not in (0, 1):
            raise failed(("check-ignore",), completed.stderr)
        return frozenset(names(completed.stdout))

    def online(self, environ: Mapping[str, str]) -> Git:
        """The same git where it may use the network, and ask for a password as the user's settings have it.

        It runs no hooks: what it writes are references and objects of ours.
        """
        git = Git(self.cwd, self.env, ONLINE)
        for name in ("GIT_ALLOW_PROTOCOL", "GIT_NO_LAZY_FETCH", "GIT_TERMINAL_PROMPT"):
            git.env.pop(name)
            if name in environ:
                git.env[name] = environ[name]
        return git

    def without_filters(self) -> Git:
        """The same git where no `filter.<name>.clean` or `.process` runs, whoever configured it."""
        listed = self.attempt("config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process|required)$")
        # An empty program is none.
        settings = (setting(name, "", _EMPTY) for name in dict.fromkeys(names(listed.stdout)))
        options = tuple(word for words in settings for word in words)
        git = Git(self.cwd, self.env, (*self._options[len(PINNED) :], *options))
        git.env[_EMPTY] = ""
        return git

    def converse(self, *args: str) -> process.Child | subprocess.Popen[bytes]:
        """A running git that answers questions on its standard input."""
        return process.talk((*self._options, *args), cwd=self.cwd, env=self.env)

    @contextmanager
    def talking(self, *args: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """A conversation: where questions are written to, and answers are read from."""
        child = self.converse(*args)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield child.stdin, child.stdout
        except BrokenPipeError as error:
            raise GitError(f"git {args[0]} ended early", "git fsck") from error
        finally:
            with suppress(BrokenPipeError):
                child.stdin.close()
            child.stdout.close()
            child.wait()


def common_dir(git_dir: str) -> str:
    """The folder that all work trees of a repository share, from the one of a single work tree."""
    try:
        with open(os.path.join(git_dir, "commondir"), encoding="utf-8", errors="surrogateescape") as file:
            return os.path.realpath(os.path.join(git_dir, file.read().rstrip("\n")))
    except OSError:
        return os.path.realpath(git_dir)


def failed(args: Iterable[str], stderr: bytes) -> GitError:
    """The error of a failed call, with the command that fixes it where we know one."""
    errors = os.fsdecode(stderr).strip()
    if _OF_OPTIONS.search(errors) and (error := too_old()):
        return error
    reason = next(
        (line for line in errors.splitlines() if line.startswith(("fatal:", "error:"))), errors or "no reason given"
    )
    verb = next(iter(args), "")
    kind = NotARepository if "not a git repository" in errors else GitError
    return kind(f"git {verb}: {reason.removeprefix('fatal: ').removeprefix('error: ')}", hint_for(errors))


def too_old() -> GitError | None:
    """The error to raise where git is older than what we call; None where it is not. Asked only when a call failed."""
    shown, version = git_version()
    if not version or version >= OLDEST:
        return None
    needed = ".".join(map(str, OLDEST))
    return GitError(f"orchgate needs git {needed} or newer; this is git {shown}", "install a newer git")


def git_version() -> tuple[str, tuple[int, ...]]:
    """The version of git, and its first two numbers; "" and () where it names none. Raises ProgramMissing."""
    found = _VERSION.search(os.fsdecode(process.run(("git", "--version")).stdout))
    return (found[0], (int(found[1]), int(found[2]))) if found else ("", ())


def hint_for(stderr: str) -> str:
    if "dubious ownership" in stderr:
        command = next((line.strip() for line in stderr.splitlines() if "safe.directory" in line), "")
        return command or "git config --global --add safe.directory <path of the repository>"
    if "not a git repository" in stderr:
        return "run this inside a git repository, or make one: git init"
    if "promisor" in stderr or "not allowed" in stderr:
        return f"this is a partial clone and the gate does not use the network: {FETCH_OBJECTS}"
    if "bad object" in stderr or "unable to read" in stderr or "bad tree object" in stderr:
        return "objects are missing here: git fetch --unshallow, or git fsck to see what is wrong"
    return ""


def names(output: bytes) -> list[str]:
    """NUL-terminated names as text; any byte survives."""
    return [name for name in os.fsdecode(output).split("\0") if name]
