"""`orchgate hook`: the body of a native git hook. Reads git's own protocol and drains standard input."""

from __future__ import annotations

import functools
import os
import stat
import sys

from orchgate import registry
from orchgate.commands.check import at_once, code, max_per_rule, measure_anyway, show, strictly, tell, view
from orchgate.errors import GitError, OrchgateError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Push, ScopeRequest, ScopeTarget, Verdict, holds_nothing, worst
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from orchgate.gate.pushed import JudgedRefs, RefToJudge
    from orchgate.git.history import NewCommit
    from orchgate.git.repository import Repository
    from orchgate.model import Report

SUMMARY = "run as a native git hook (pre-commit, pre-merge-commit, commit-msg, pre-push)"
ABOUT = """\
Takes the arguments and the standard input that git gives to the hook. Before a
commit it judges what is staged; before a push, every ref that is pushed.
`agent TOOL` is the hook at the end of a coding agent's turn (claude, codex,
cursor, generic). It judges the work tree, as a commit of everything in it would
be, and stops the agent with findings as JSON: exit code 2."""
EXAMPLES = ('orchgate hook pre-commit "$@"', 'orchgate hook pre-push "$@"', "orchgate hook agent claude")
AGENT = "agent"
WORDS_OF_GIT = True
HOOKS = ("pre-commit", "pre-merge-commit", "commit-msg", "pre-push", AGENT)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hook", choices=HOOKS, metavar="HOOK", help=f"the hook that git runs: {', '.join(HOOKS)}")
    what = "git's own arguments: of pre-push the remote's name and URL, of commit-msg the file of the message; or TOOL"
    parser.add_argument("args", nargs="*", default=[], metavar="ARG", help=what)
    max_per_rule(parser)
    measure_anyway(parser)
    strictly(parser)


def run(args: argparse.Namespace) -> Verdict | int:
    from orchgate.gate import session  # --help needs nothing of it

    # git dies of SIGPIPE (141) when a pre-push hook leaves its input unread, so it is read before anything can fail.
    if args.hook == AGENT:
        return _agent(args.args)
    lines = _pushed_refs() if args.hook == "pre-push" else []
    with session.opened() as repository:
        most = args.max_per_rule
        if args.hook == "pre-push":
            setting = PushOptions(
                args.args[0] if args.args else "", most, args.measure_anyway, args.strict, len(lines) > 1
            )
            return _pushes(repository, setting, lines)
        if args.hook == "commit-msg":
            return _message(repository, args.args, most, strict=args.strict)
        asked = ScopeRequest(staged=True)
        report = session.judge_request(repository, asked, os.environ, ignores=True, strict=args.strict, tell=tell)
        show(report, how=view(most))
        return code(report)


def _agent(args: list[str]) -> int:
    from orchgate.commands.shared import agent_turn  # a commit needs none of it

    tool = args[0] if args else "generic"
    if tool not in agent_turn.TOOLS:
        raise UsageError(
            f"unknown tool {tool}; {registry.nearest(tool, agent_turn.TOOLS)}", "orchgate hook agent claude"
        )
    return agent_turn.stop(tool)


def _message(repository: Repository, args: list[str], most: int, *, strict: bool) -> Verdict | int:
    """Judges the index once more, by what the message of the commit excuses."""
    from orchgate.gate import session
    from orchgate.git import messages, scope

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
    report = session.judge(ctx, [check.id for check in registry.checks() if check.excusable], strict=strict, tell=tell)
    if report.verdict is not Verdict.PASS or any(not one.older for one in report.diagnostics):
        show(report, how=view(most))  # that all is well was said before the message was written
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
    """What holds for all refs of a push. `most` findings of a rule are shown; `several` refs are pushed.

    `new` are the commits among them that no remote has yet.
    """

    remote: str
    most: int
    measure_anyway: bool
    strict: bool
    several: bool
    new: Mapping[str, NewCommit] = {}


class Unmeasured(NamedTuple):
    """A ref that is judged but for its speed: what it costs to find out is spent once no other is refused."""

    line: PushedRef
    target: ScopeTarget
    report: Report


def _pushes(repository: Repository, setting: PushOptions, lines: list[bytes]) -> Verdict | int:
    """Judges every ref of a push; the worst answer counts. What is cheap comes first, of all refs."""
    from orchgate.gate.pushed import JudgedRefs

    above: list[str] = []
    judged = JudgedRefs(repository)
    refs, new = _ancestors_first(repository, [_fields(line) for line in lines])
    setting = setting._replace(new=new)
    results = [_push(repository, setting, line, above, judged) for line in refs]
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
    from orchgate.gate import session

    answer = code(result.report) if isinstance(result, Unmeasured) else result
    return answer not in session.LANDS


def _measured(repository: Repository, setting: PushOptions, one: Unmeasured, *, refused: bool) -> Verdict | int:
    """The rest of a ref that waited; the repository is asked anew, so that a hundred refs need no room."""
    from orchgate.gate import session

    _announce(setting, one.line)
    ctx = session.context(repository, one.target, os.environ)
    report = session.completed(
        ctx, one.report, tell=tell, anyway=setting.measure_anyway, refused=refused, strict=setting.strict
    )
    show(report, how=view(setting.most, earlier=[check.id for check in one.report.checks]))
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


def _ancestors_first(repository: Repository, lines: list[PushedRef]) -> tuple[list[PushedRef], Mapping[str, NewCommit]]:
    """Refs of one push in an order in which each adds to those before: a stack is pushed as it was built."""
    if len(lines) < 2:
        return lines, {}
    from orchgate.git import history

    commits = {line.local_oid: repository.here(line.local_oid) for line in lines}
    new = history.new_commits(repository, [commit for commit in commits.values() if commit])
    places = {oid: new[commit].place for oid, commit in commits.items() if commit in new}
    return sorted(lines, key=lambda line: places.get(line.local_oid, -1)), new


def _unrelated(new: Mapping[str, NewCommit], head: str, others: list[str]) -> frozenset[str]:
    """Commits of a push that have nothing in common with one of them but what a remote has."""
    if head not in new:
        return frozenset()
    return frozenset(other for other in others if other not in new or new[other].line != new[head].line)


def _announce(setting: PushOptions, line: PushedRef) -> None:
    remote, ref = escape(setting.remote or "remote"), escape(line.remote_ref)
    sys.stdout.write(f"orchgate: {escape(line.local_ref)} -> {remote} {ref}\n")


def _push(
    repository: Repository, setting: PushOptions, line: PushedRef, above: list[str], judged: JudgedRefs
) -> Verdict | int | Unmeasured:
    """Judges one ref; `above` are the commits of this push that were judged before it, less what those stand on."""
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
    push = Push(
        setting.remote, line.remote_ref, line.remote_oid, head, tuple(above), _unrelated(setting.new, head, above)
    )
    ref = judged.ref(ScopeTarget("range", head, push=push))
    earlier: list[str] = []
    how = view(setting.most, earlier=earlier)
    write = at_once(earlier, how)
    report, waits = judged.known(ref) or _judged(repository, setting, ref, judged, write)
    below = (report.scope.base, *report.scope.beside)
    above[:] = [*(commit for commit in above if commit not in below), head]  # git walks down from the head anyway
    if waits:
        write(report)
        return Unmeasured(line, ref.target, report)
    show(report, how=how)
    return code(report)


def _judged(
    repository: Repository, setting: PushOptions, ref: RefToJudge, judged: JudgedRefs, write: Callable[[Report], None]
) -> tuple[Report, bool]:
    """The report of a ref, and whether it is still to be measured: where several are pushed, that comes last."""
    from orchgate.gate import session

    ctx = session.context(repository, ref.target, os.environ, scope=ref.scope)._replace(asked=ref.own.append)
    waits = setting.several and bool(ctx.config.performance.pipeline)
    if waits:
        report = session.judge_cheap(ctx, strict=setting.strict)
    else:
        report = session.judge(ctx, strict=setting.strict, tell=tell, early=write, anyway=setting.measure_anyway)
    judged.keep(ref, report, waits=waits)
    return report, waits
