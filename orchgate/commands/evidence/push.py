"""`orchgate evidence push`: lets the pinned artifacts travel with the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.evidence import workspace
from orchgate.commands.evidence.workspace import say
from orchgate.commands.shared import options
from orchgate.lib.text import counted
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from orchgate.commands.evidence.workspace import EvidenceWorkspace
    from orchgate.evidence.lock import Pinned
    from orchgate.evidence.transfer import PushPlan, Withheld
    from orchgate.git.store import Connection, Pushed
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


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="artifacts or folders of them (all that is pinned)")
    workspace.add_remote(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what the remote lacks, and send nothing")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.secrets import search

    with workspace.online(), workspace.here() as place:
        patterns = search.compiled(place.config.evidence.secrets, place.config.evidence.secrets_allowed)
        if workspace.nothing_pinned(place):
            return Verdict.PASS
        remote, paths = _split(place, args)
        pins = workspace.chosen(place, paths)
        remote = remote or place.store.default_remote()
        verdicts = []
        for address in place.store.push_addresses(remote):
            with place.store.connect(remote, args.timeout, address=address) as connection:
                verdicts.append(_push_to(place, connection, _PushRequest(remote, pins, patterns, args.dry_run)))
        return max(verdicts, key=lambda verdict: verdict.exit_code)


def _split(place: EvidenceWorkspace, args: argparse.Namespace) -> tuple[str, list[str]]:
    """The remote, "" where none is named, and the paths. A remote was once the first word, which is still taken."""
    if args.remote or not args.paths:
        return args.remote, args.paths
    first = workspace.named(place, args.paths[0])
    if place.lock.get(first) is not None or any(True for _ in place.lock.below(first)):
        return "", args.paths
    options.warn(f"a remote is named by an option now: --remote {args.paths[0]}; the word alone goes away soon")
    return args.paths[0], args.paths[1:]


class _PushRequest(NamedTuple):
    remote: str
    pins: list[Pinned]
    patterns: Patterns
    dry_run: bool


def _push_to(place: EvidenceWorkspace, connection: Connection, task: _PushRequest) -> Verdict:
    from orchgate.evidence import transfer

    content = transfer.source(place.artifacts, place.store, connection.local().contents, place.limit)
    there = connection.look()
    load = transfer.plan_push(task.pins, there.contents, content, task.patterns, place.limit)
    _say_held(load.held)
    if task.dry_run:
        workspace.note(connection)
        kept = f", {load.stored} are stored already" if load.stored else ""
        say(f"would send {counted(len(load.ready), 'artifact')} ({_size(load.ready):,} bytes) to {task.remote}{kept}")
        return _verdict(load)
    pushed = connection.push(there, transfer.contents(load.ready, content))
    workspace.note(connection)
    _say_pushed(pushed, load, task.remote)
    return _verdict(load)


def _say_held(held: Iterable[Withheld]) -> None:
    """Each artifact that stays behind, and what to do about it once for all that it goes for."""
    by_hint: dict[str, list[Withheld]] = {}
    for one in held:
        by_hint.setdefault(one.hint, []).append(one)
    for hint, those in by_hint.items():
        for one in those:
            say(f"not sent: {one.path} {one.reason}")
        if hint:
            say(f"  hint: {hint}")


def _say_pushed(pushed: Pushed, load: PushPlan, remote: str) -> None:
    from orchgate.git.contents import REF

    size = _size(pin for pin in load.ready if pin.sha256 in pushed.new)
    races = f"; another push came first {pushed.races} times" if pushed.races else ""
    stored = load.stored + len(load.ready) - len(pushed.new)
    kept = f", {stored} were stored already" if stored else ""
    say(f"{remote} {REF}: {counted(len(pushed.new), 'artifact')} sent ({size:,} bytes){kept}{races}")


def _size(pins: Iterable[Pinned]) -> int:
    return sum(pin.size for pin in pins)


def _verdict(load: PushPlan) -> Verdict:
    """A secret is refused; what is not at hand could not be sent."""
    if any(held.secret for held in load.held):
        return Verdict.FAIL
    return Verdict.BROKEN if load.held else Verdict.PASS
