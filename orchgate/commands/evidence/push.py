"""`orchgate evidence push`: lets the pinned artifacts travel with the repository."""

from __future__ import annotations

from orchgate.commands.evidence import workspace
from orchgate.commands.evidence.workspace import Transfer
from orchgate.commands.shared import command_line, servers
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from orchgate.commands.evidence.workspace import EvidenceWorkspace, Say
    from orchgate.commands.shared.command_line import Parser
    from orchgate.evidence.lock import Pinned
    from orchgate.evidence.transfer import PushPlan, Withheld
    from orchgate.git.store.reference import Connection, Pushed
    from orchgate.secrets.search import Patterns

SUMMARY = "send the pinned artifacts to refs/orchgate/evidence of a remote"
ABOUT = (
    "Without PATH, all that is pinned, to the remote of this branch, or origin. What the remote has is not sent again."
)
EXAMPLES = ("orchgate evidence push", "orchgate evidence push --remote upstream --dry-run")
EXIT_CODES = {
    1: "an artifact seems to hold a secret, and was not sent",
    3: "an artifact is not at hand, or was not sent",
}


def arguments(parser: Parser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what the remote lacks, and send nothing")


def run(args: argparse.Namespace) -> Verdict:
    return workspace.transferred(args, lambda place, say: _push(place, args, say), ready=_patterns)


def _patterns(place: EvidenceWorkspace) -> Patterns:
    from orchgate.secrets import search

    return search.compiled(place.config.evidence.secrets, place.config.evidence.secrets_allowed)


def _push(place: EvidenceWorkspace, args: argparse.Namespace, say: Say) -> Transfer:
    patterns = _patterns(place)
    remote, paths = _split(place, args)
    pins = workspace.chosen(place, paths)
    remote = remote or place.store.default_remote()
    done = []
    for address in place.store.push_addresses(remote):
        with place.store.connect(remote, args.timeout, address=address) as connection:
            done.append(_push_to(place, connection, _PushRequest(remote, pins, patterns, args.dry_run, say)))
    verdict = max((one.verdict for one in done), key=lambda verdict: verdict.exit_code)
    return Transfer(verdict, tuple(facts for one in done for facts in one.remotes))


def _split(place: EvidenceWorkspace, args: argparse.Namespace) -> tuple[str, list[str]]:
    """The remote, "" where none is named, and the paths. A remote was once the first word, which is still taken."""
    if args.remote or not args.paths:
        return args.remote, args.paths
    first = workspace.named(place, args.paths[0])
    if place.lock.get(first) is not None or any(True for _ in place.lock.below(first)):
        return "", args.paths
    command_line.warn(f"a remote is named by an option now: --remote {args.paths[0]}; the word alone goes away soon")
    return args.paths[0], args.paths[1:]


class _PushRequest(NamedTuple):
    remote: str
    pins: list[Pinned]
    patterns: Patterns
    dry_run: bool
    say: Say


def _push_to(place: EvidenceWorkspace, connection: Connection, request: _PushRequest) -> Transfer:
    from orchgate.evidence import transfer

    content = transfer.source(place.artifacts, place.store, connection.local().contents, place.limit)
    there = connection.look()
    load = transfer.plan_push(request.pins, there.contents, content, request.patterns, place.limit)
    _say_held(load.held, request.say)
    if request.dry_run:
        servers.note(connection, request.say)
        kept = f", {load.stored} are stored already" if load.stored else ""
        sent = f"{counted(len(load.ready), 'artifact')} ({_size(load.ready):,} bytes)"
        request.say(f"would send {sent} to {request.remote}{kept}")
        return Transfer(_verdict(load), (_facts(request, load, [one.path for one in load.ready]),))
    pushed = connection.push(there, transfer.contents(load.ready, content))
    servers.note(connection, request.say)
    _say_pushed(pushed, load, request)
    return Transfer(
        _verdict(load), (_facts(request, load, [one.path for one in load.ready if one.sha256 in pushed.new]),)
    )


def _facts(request: _PushRequest, load: PushPlan, sent: list[str]) -> dict[str, object]:
    """What was sent, or would be."""
    held = [
        {"path": one.path, "reason": one.reason, "hint": one.hint or None, "is_secret": one.secret} for one in load.held
    ]
    return {
        "remote": request.remote,
        "asked_count": len(request.pins),
        "is_dry_run": request.dry_run,
        "sent": sent,
        "sent_bytes": _size(one for one in load.ready if one.path in sent),
        "stored_count": load.stored + len(load.ready) - len(sent),
        "withheld": held,
    }


def _say_held(held: Iterable[Withheld], say: Say) -> None:
    """Each artifact that stays behind, and what to do about it once for all that it goes for."""
    by_hint: dict[str, list[Withheld]] = {}
    for one in held:
        by_hint.setdefault(one.hint, []).append(one)
    for hint, those in by_hint.items():
        for one in those:
            say(f"not sent: {one.path} {one.reason}")
        if hint:
            say(f"  hint: {hint}")


def _say_pushed(pushed: Pushed, load: PushPlan, request: _PushRequest) -> None:
    from orchgate.git.store.contents import REF

    size = _size(pin for pin in load.ready if pin.sha256 in pushed.new)
    races = f"; another push came first {pushed.races} times" if pushed.races else ""
    stored = load.stored + len(load.ready) - len(pushed.new)
    kept = f", {stored} were stored already" if stored else ""
    request.say(f"{request.remote} {REF}: {counted(len(pushed.new), 'artifact')} sent ({size:,} bytes){kept}{races}")


def _size(pins: Iterable[Pinned]) -> int:
    return sum(pin.size for pin in pins)


def _verdict(load: PushPlan) -> Verdict:
    """A secret is refused; what is not at hand could not be sent."""
    if any(held.secret for held in load.held):
        return Verdict.FAIL
    return Verdict.BROKEN if load.held else Verdict.PASS
