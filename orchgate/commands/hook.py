"""`orchgate hook`: the body of a native git hook. Reads git's own protocol and drains standard input."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchgate import session
from orchgate.commands.check import code, show, tell
from orchgate.errors import GitError, OrchgateError
from orchgate.git.scope import Push, Request, Target
from orchgate.model import Verdict, worst
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.git.repository import Repository

SUMMARY = "run as a native git hook (pre-commit, pre-merge-commit, pre-push)"
HOOKS = ("pre-commit", "pre-merge-commit", "pre-push")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hook", choices=HOOKS, help="the hook git is running")
    parser.add_argument("args", nargs="*", help="git's own arguments: for pre-push the remote's name and address")


def run(args: argparse.Namespace) -> Verdict | int:
    # git dies of SIGPIPE (141) when a pre-push hook leaves its input unread, so it is read before anything can fail.
    lines = _pushed_refs() if args.hook == "pre-push" else []
    with session.opened() as repository:
        if args.hook != "pre-push":
            report = session.judge_request(repository, Request(staged=True), os.environ, ignores=True, tell=tell)
            show(report, "text", explain=False)
            return code(report)
        return _pushes(repository, args.args[0] if args.args else "", lines)


def _pushed_refs() -> list[bytes]:
    if sys.stdin is None:
        raise OrchgateError(
            "standard input is closed: git's list of pushed refs cannot be read", "pass the hook's input on"
        )
    return sys.stdin.buffer.read().splitlines()


def _pushes(repository: Repository, remote: str, lines: list[bytes]) -> Verdict | int:
    """Judges every ref of a push; the worst answer counts."""
    results = [_push(repository, remote, line) for line in lines]
    codes = [result for result in results if isinstance(result, int)]
    if codes:
        return max(codes)
    if not results:
        sys.stdout.write("orchgate: nothing is pushed\n")
    return worst(result for result in results if isinstance(result, Verdict))


def _push(repository: Repository, remote: str, line: bytes) -> Verdict | int:
    fields = os.fsdecode(line).rsplit(" ", 3)  # the first may be an expression with spaces: HEAD^{/a message}
    if len(fields) != 4:
        raise OrchgateError(
            f"git's pre-push line cannot be read: {os.fsdecode(line)!r}", "git --version; 1.8.2 is needed"
        )
    local_ref, local_oid, remote_ref, remote_oid = fields
    sys.stdout.write(f"orchgate: {escape(local_ref)} -> {escape(remote or 'remote')} {escape(remote_ref)}\n")
    if not local_oid.strip("0"):
        sys.stdout.write("orchgate: a deletion: nothing to judge\n")
        return Verdict.PASS
    head = repository.commit(local_oid)
    if head is None:
        if repository.kind(local_oid) is None:
            raise GitError(f"object {local_oid} is missing from this repository", "git fsck")
        sys.stdout.write("orchgate: not a commit: nothing to judge\n")
        return Verdict.PASS
    target = Target("range", head, push=Push(_name(repository, remote), remote_ref, remote_oid, head))
    report = session.judge(session.context(repository, target, os.environ), tell=tell)
    show(report, "text", explain=False)
    return code(report)


def _name(repository: Repository, remote: str) -> str:
    """The remote's name; a push to a bare address has none, and its tracking refs are those of nobody."""
    return remote if remote in set(_remotes(repository)) else "origin"


def _remotes(repository: Repository) -> Iterator[str]:
    yield from os.fsdecode(repository.git("remote")).splitlines()
