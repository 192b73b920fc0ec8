"""`orchgate evidence push`: lets the pinned artifacts travel with the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.commands import _carrying
from orchgate.commands._carrying import say
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands._carrying import Place
    from orchgate.evidence.carry import Load

SUMMARY = "send the pinned artifacts to refs/orchgate/evidence of a remote"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("remote", nargs="?", default="", metavar="REMOTE", help="default: the branch's, or origin")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence import carry, secrets

    with _carrying.here() as place:
        patterns = secrets.compiled(place.config.evidence.secrets)
        if _carrying.nothing_pinned(place):
            return Verdict.PASS
        remote = args.remote or place.store.default_remote()
        if not args.dry_run:
            place.store.fetch(remote)
        load = carry.load(place.artifacts, place.lock.pins.values(), place.store.known(), patterns, place.limit)
        for held in load.held:
            say(f"not sent: {held.path} {held.reason}")
            if held.hint:
                say(f"  hint: {held.hint}")
        if not args.dry_run:
            _push(place, remote, load)
        else:
            size = sum(pin.size for pin in load.ready)
            say(f"would send {len(load.ready)} artifacts ({size:,} bytes) to {remote}")
        return _verdict(load)


def _push(place: Place, remote: str, load: Load) -> None:
    from orchgate.evidence import carry
    from orchgate.git.store import REF

    pushed = place.store.push(remote, carry.contents(place.artifacts, load.ready))
    size = sum(pin.size for pin in load.ready)
    races = f"; another push came first {pushed.races} times" if pushed.races else ""
    kept = f", {load.stored} were stored already" if load.stored else ""
    say(f"{remote} {REF}: {pushed.new} artifacts sent ({size:,} bytes){kept}{races}")


def _verdict(load: Load) -> Verdict:
    """A secret is refused; what is not at hand could not be sent."""
    if any(held.secret for held in load.held):
        return Verdict.FAIL
    return Verdict.BROKEN if load.held else Verdict.PASS
