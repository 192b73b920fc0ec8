"""`orchgate evidence push`: lets the pinned artifacts travel with the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.evidence import workspace
from orchgate.commands.evidence.pinning import counted
from orchgate.commands.evidence.workspace import say
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from orchgate.commands.evidence.workspace import Place
    from orchgate.evidence.carry import Held, Load
    from orchgate.evidence.lock import Pinned
    from orchgate.evidence.secrets import Patterns
    from orchgate.git.visit import Pushed, Visit

SUMMARY = "send the pinned artifacts to refs/orchgate/evidence of a remote"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("remote", nargs="?", default="", metavar="REMOTE", help="default: the branch's, or origin")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="artifacts or folders of them; without: all pinned")
    parser.add_argument("--remote", dest="named", default="", metavar="REMOTE", help="as REMOTE; every word is a PATH")
    parser.add_argument("--dry-run", action="store_true", help="say what the remote lacks, and send nothing")
    workspace.add_timeout(parser)


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence import secrets

    with workspace.online(), workspace.here() as place:
        patterns = secrets.compiled(place.config.evidence.secrets, place.config.evidence.secrets_allowed)
        if workspace.nothing_pinned(place):
            return Verdict.PASS
        remote, paths = _split(place, args)
        pins = workspace.chosen(place, paths)
        remote = remote or place.store.default_remote()
        verdicts = []
        for address in place.store.push_addresses(remote):
            with place.store.visit(remote, args.timeout, address=address) as visit:
                verdicts.append(_visit(place, visit, _Task(remote, pins, patterns, args.dry_run)))
        return max(verdicts, key=lambda verdict: verdict.exit_code)


def _split(place: Place, args: argparse.Namespace) -> tuple[str, list[str]]:
    """The remote, "" where none is named, and the paths: a first word that is pinned is one of these."""
    first = workspace.named(place, args.remote) if args.remote else ""
    is_pinned = bool(first) and (place.lock.get(first) is not None or any(True for _ in place.lock.below(first)))
    if args.remote and (args.named or is_pinned):
        return args.named, [args.remote, *args.paths]
    return args.remote or args.named, args.paths


class _Task(NamedTuple):
    remote: str
    pins: list[Pinned]
    patterns: Patterns
    dry_run: bool


def _visit(place: Place, visit: Visit, task: _Task) -> Verdict:
    from orchgate.evidence import carry

    content = carry.source(place.artifacts, place.store, visit.local().contents, place.limit)
    there = visit.look()
    load = carry.load(task.pins, there.contents, content, task.patterns, place.limit)
    _say_held(load.held)
    if task.dry_run:
        workspace.note(visit)
        kept = f", {load.stored} are stored already" if load.stored else ""
        say(f"would send {counted(len(load.ready), 'artifact')} ({_size(load.ready):,} bytes) to {task.remote}{kept}")
        return _verdict(load)
    pushed = visit.push(there, carry.contents(load.ready, content))
    workspace.note(visit)
    _say_pushed(pushed, load, task.remote)
    return _verdict(load)


def _say_held(held: Iterable[Held]) -> None:
    """Each artifact that stays behind, and what to do about it once for all that it goes for."""
    by_hint: dict[str, list[Held]] = {}
    for one in held:
        by_hint.setdefault(one.hint, []).append(one)
    for hint, those in by_hint.items():
        for one in those:
            say(f"not sent: {one.path} {one.reason}")
        if hint:
            say(f"  hint: {hint}")


def _say_pushed(pushed: Pushed, load: Load, remote: str) -> None:
    from orchgate.git.contents import REF

    size = _size(pin for pin in load.ready if pin.sha256 in pushed.new)
    races = f"; another push came first {pushed.races} times" if pushed.races else ""
    stored = load.stored + len(load.ready) - len(pushed.new)
    kept = f", {stored} were stored already" if stored else ""
    say(f"{remote} {REF}: {counted(len(pushed.new), 'artifact')} sent ({size:,} bytes){kept}{races}")


def _size(pins: Iterable[Pinned]) -> int:
    return sum(pin.size for pin in pins)


def _verdict(load: Load) -> Verdict:
    """A secret is refused; what is not at hand could not be sent."""
    if any(held.secret for held in load.held):
        return Verdict.FAIL
    return Verdict.BROKEN if load.held else Verdict.PASS
