"""`orchgate hook`: the body of a native git hook. Reads git's own protocol and drains standard input."""

from __future__ import annotations

import functools
import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate import registry
from orchgate.commands.check import at_once, code, max_per_rule, measure_anyway, show, tell
from orchgate.commands.shared.options import Parser
from orchgate.errors import GitError, OrchgateError, UsageError
from orchgate.gate import session
from orchgate.git import history, messages, scope
from orchgate.git.target import Push, ScopeRequest, ScopeTarget, holds_nothing
from orchgate.model import Verdict, worst
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from orchgate.git.repository import Repository
    from orchgate.model import Report

SUMMARY = "run as a native git hook (pre-commit, pre-merge-commit, commit-msg, pre-push)"
ABOUT = """\
Takes the arguments and the standard input that git gives to the hook. Before a
commit it judges what is staged; before a push, every ref that is pushed."""
EXAMPLES = ('orchgate hook pre-commit "$@"', 'orchgate hook pre-push "$@"')
HOOKS = ("pre-commit", "pre-merge-commit", "commit-msg", "pre-push")


class PARSER(Parser):
    """Passes on what is not ours, in its order: a remote may be called `-x`."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        ours: list[str] = []
        of_git: list[str] = []
        words = iter(args or ())
        for word in words:
            if word.partition("=")[0] in self._option_string_actions:
                ours += [word, *([next(words, "")] if word == "--max-per-rule" else [])]
            else:
                of_git.append(word)
        if of_git and of_git[0].startswith("-"):
            self.unknown(of_git[0])
        found, rest = super().parse_known_args([*ours, *of_git[:1]], namespace)
        found.args = [word for word in of_git[1:] if word != "--"]
        return found, rest


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hook", choices=HOOKS, metavar="HOOK", help=f"the hook that git runs: {', '.join(HOOKS)}")
    what = "git's own arguments: of pre-push the remote's name and URL, of commit-msg the file of the message"
    parser.add_argument("args", nargs="*", default=[], metavar="ARG", help=what)
    max_per_rule(parser)
    measure_anyway(parser)


def run(args: argparse.Namespace) -> Verdict | int:
    # git dies of SIGPIPE (141) when a pre-push hook leaves its input unread, so it is read before anything can fail.
    lines = _pushed_refs() if args.hook == "pre-push" else []
    with session.opened() as repository:
        most = args.max_per_rule
        if args.hook == "pre-push":
            setting = PushOptions(args.args[0] if args.args else "", most, args.measure_anyway, len(lines) > 1)
            return _pushes(repository, setting, lines)
        if args.hook == "commit-msg":
            return _message(repository, args.args, most)
        report = session.judge_request(repository, ScopeRequest(staged=True), os.environ, ignores=True, tell=tell)
        show(report, most=most)
        return code(report)


def _message(repository: Repository, args: list[str], most: int) -> Verdict | int:
    """Judges the index once more, by what the message of the commit excuses."""
    if len(args) != 1:
        raise UsageError("commit-msg needs the file that holds the message", "orchgate hook commit-msg FILE")
    path = os.path.abspath(args[0])
    # git says so when no editor was open; a message from an editor still has its comments.
    edited = os.environ.get("GIT_EDITOR") != ":"
    target = scope.target(repository, ScopeRequest(staged=True), os.environ)
    read = functools.cache(lambda: messages.in_the_making(repository.git, path, edited=edited))
    read()  # a message that cannot be read is no message without exceptions
    ctx = session.context(repository, target._replace(message=read), os.environ)
    # What the message cannot excuse was reported before it was written.
    report = session.judge(ctx, [check.id for check in registry.checks() if check.excusable], tell=tell)
    show(report, most=most)
    return code(report)


def _pushed_refs() -> list[bytes]:
    """The lines of git's protocol. Raises OrchgateError when nobody passed them on."""
    if sys.stdin is None:
        raise _no_input("standard input is closed")
    if sys.stdin.isatty():  # reading would wait for a person
        raise _no_input("standard input is a terminal")
    lines = sys.stdin.buffer.read().splitlines()
    # git itself hands over an empty pipe when nothing is to be pushed; /dev/null comes from a hook runner.
    if not lines and not _is_pipe():
        raise _no_input("standard input is empty and not a pipe")
    return lines


def _is_pipe() -> bool:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _no_input(why: str) -> OrchgateError:
    hint = "let the hook runner pass git's input on; in lefthook, set use_stdin: true for this command"
    return OrchgateError(f"git's list of pushed refs is missing: {why}", hint)


class PushOptions(NamedTuple):
    """What holds for all refs of a push. `most` findings of a rule are shown; `several` refs are pushed."""

    remote: str
    most: int
    measure_anyway: bool
    several: bool


class Unmeasured(NamedTuple):
    """A ref that is judged but for its speed: what it costs to find out is spent once no other is refused."""

    line: PushedRef
    target: ScopeTarget
    report: Report


def _pushes(repository: Repository, setting: PushOptions, lines: list[bytes]) -> Verdict | int:
    """Judges every ref of a push; the worst answer counts. What is cheap comes first, of all refs."""
    judged: list[str] = []
    told = [_fields(line) for line in lines]
    results = [_push(repository, setting, line, judged) for line in _ancestors_first(repository, told)]
    refused = any(_refuses(result) for result in results)
    answers = [
        _measured(repository, setting, one, refused=refused) if isinstance(one, Unmeasured) else one for one in results
    ]
    codes = [answer for answer in answers if isinstance(answer, int)]
    if codes:
        return max(codes)
    if not answers:
        sys.stdout.write("orchgate: nothing to push\n")
    return worst(answer for answer in answers if isinstance(answer, Verdict))


def _refuses(result: Verdict | int | Unmeasured) -> bool:
    answer = code(result.report) if isinstance(result, Unmeasured) else result
    return answer not in session.LANDS


def _measured(repository: Repository, setting: PushOptions, one: Unmeasured, *, refused: bool) -> Verdict | int:
    """The rest of a ref that waited; the repository is asked anew, so that a hundred refs need no room."""
    _announce(setting, one.line)
    ctx = session.context(repository, one.target, os.environ)
    report = session.completed(ctx, one.report, tell=tell, anyway=setting.measure_anyway, refused=refused)
    show(report, most=setting.most, said=[check.id for check in one.report.checks])
    return code(report)


class PushedRef(NamedTuple):
    """One line of git's pre-push protocol."""

    local_ref: str
    local_oid: str
    remote_ref: str
    remote_oid: str


def _fields(line: bytes) -> PushedRef:
    fields = os.fsdecode(line).rsplit(" ", 3)  # the first may be an expression with spaces: HEAD^{/a message}
    if len(fields) != 4:
        raise OrchgateError(f"git's pre-push line cannot be read: {os.fsdecode(line)!r}", "git --version")
    return PushedRef(*fields)


def _ancestors_first(repository: Repository, lines: list[PushedRef]) -> list[PushedRef]:
    """Refs of one push in an order in which each adds to those before: a stack is pushed as it was built."""
    if len(lines) < 2:
        return lines
    commits = {line.local_oid: repository.here(line.local_oid) for line in lines}
    order = history.oldest_first(repository, [commit for commit in commits.values() if commit])
    return sorted(lines, key=lambda line: order.get(commits[line.local_oid] or "", -1))


def _announce(setting: PushOptions, line: PushedRef) -> None:
    remote, ref = escape(setting.remote or "remote"), escape(line.remote_ref)
    sys.stdout.write(f"orchgate: {escape(line.local_ref)} -> {remote} {ref}\n")


def _push(
    repository: Repository, setting: PushOptions, line: PushedRef, judged: list[str]
) -> Verdict | int | Unmeasured:
    """Judges one ref; `judged` are the commits of this push that were judged before it, less what those stand on."""
    _announce(setting, line)
    if not line.local_oid.strip("0"):
        sys.stdout.write("orchgate: a deletion, nothing to judge\n")
        return Verdict.PASS
    if nothing := holds_nothing(line.remote_ref):
        sys.stdout.write(f"orchgate: {escape(nothing)}\n")
        return Verdict.PASS
    head = repository.here(line.local_oid)
    if head is None:
        if repository.kind(line.local_oid) is None:
            raise GitError(f"object {line.local_oid} is missing from this repository", "git fsck")
        sys.stdout.write("orchgate: not a commit, nothing to judge\n")
        return Verdict.PASS
    push = Push(setting.remote, line.remote_ref, line.remote_oid, head, tuple(judged))
    target = ScopeTarget("range", head, push=push)
    ctx = session.context(repository, target, os.environ)
    below = (ctx.scope.base, *ctx.scope.beside)
    judged[:] = [*(commit for commit in judged if commit not in below), head]  # git walks down from the head anyway
    said: list[str] = []
    write = at_once(said, setting.most)
    if setting.several and ctx.config.performance.pipeline:
        report = session.judge_cheap(ctx)
        write(report)
        return Unmeasured(line, target, report)
    report = session.judge(ctx, tell=tell, early=write, anyway=setting.measure_anyway)
    show(report, most=setting.most, said=said)
    return code(report)
