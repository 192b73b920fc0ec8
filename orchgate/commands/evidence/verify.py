"""`orchgate evidence verify`: are pinned artifacts still what was pinned, and do the signatures of runs hold?"""

from __future__ import annotations

import contextlib
import sys

from orchgate.commands.evidence import signed, workspace
from orchgate.commands.shared import options, work_tree
from orchgate.errors import GitError
from orchgate.evidence.lock import PATH
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed, problem
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from orchgate.commands.evidence.signed import CheckedSignatures
    from orchgate.commands.evidence.workspace import EvidenceWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.model import Trouble

SUMMARY = "hash every pinned artifact that is here, verify signatures, and say what does not hold"
ABOUT = """\
Looks at the disk and at the store of this clone; asks no remote. What is in
the folder .orchgate/signatures/ is verified by the signers that the base allows
in .orchgate/allowed_signers."""
EXAMPLES = ("orchgate evidence verify", "orchgate evidence verify --missing")
EXIT_CODES = {
    1: "an artifact is not what was pinned, or a signature does not hold",
    3: "an artifact cannot be compared, is damaged in the store, or a signature cannot be verified",
}

VERSION = 1


def arguments(parser: Parser) -> None:
    parser.add_argument("--missing", action="store_true", help="also list the pinned artifacts that are not here")
    help_ = "who may sign, as OpenSSH writes it (.orchgate/allowed_signers of the base)"
    parser.add_argument("--allowed-signers", default="", metavar="FILE", help=help_)
    options.output_format(parser, "evidence-verification")


class Verification(NamedTuple):
    """What became of the pins. By path, how those that `changed` differ, and what is wrong with `damaged` ones."""

    pins: int
    changed: Mapping[str, str]
    missing: tuple[str, ...]
    unknown: tuple[Trouble, ...]
    stored: int
    damaged: Mapping[str, str]
    signatures: CheckedSignatures

    @property
    def ok(self) -> int:
        return self.pins - len(self.changed) - len(self.missing) - len(self.unknown)

    @property
    def verdict(self) -> Verdict:
        if self.changed or self.signatures.wrong:
            return Verdict.FAIL
        return Verdict.BROKEN if self.unknown or self.damaged or self.signatures.unknown else Verdict.PASS


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence.lock_checks import PinComparison

    with workspace.here() as place:
        config = place.config
        comparison = PinComparison(place.artifacts, config.evidence.max_artifact_bytes, config.manifests.max_bytes)
        changed: dict[str, str] = {}
        missing = []
        for one in place.lock.pins.values():
            if not place.artifacts.on_disk(one.path):
                missing.append(one.path)
            elif difference := comparison.difference(one):
                changed[one.path] = difference
        stored, damaged = _stored(place)
        checked = signed.check(place, place.repository, args.allowed_signers)
    unknown = tuple(comparison.troubles.values())
    found = Verification(len(place.lock.pins), changed, tuple(missing), unknown, stored, damaged, checked)
    if args.output_format == "json":
        work_tree.print_json(_document(found))
    else:
        sys.stdout.writelines(escape(line) + "\n" for line in _lines(found, missing=args.missing))
    return found.verdict


def _stored(place: EvidenceWorkspace) -> tuple[int, dict[str, str]]:
    """How many pinned contents the store holds whole, and what is wrong with those that are damaged, by path."""
    known = place.store.known()
    wanted = {pin.sha256: pin.path for pin in place.lock.pins.values() if pin.sha256 in known}
    damaged: dict[str, str] = {}
    with contextlib.suppress(GitError):  # then each is asked for alone
        for _ in place.store.read_many({sha256: known[sha256] for sha256 in wanted}, place.limit):
            pass
        return len(wanted), damaged
    for sha256, path in wanted.items():
        try:
            for _ in place.store.read_many({sha256: known[sha256]}, place.limit):
                pass
        except GitError as error:
            damaged[path] = error.message
    return len(wanted) - len(damaged), damaged


def _document(found: Verification) -> dict[str, object]:
    facts = {
        "verdict": found.verdict.value,
        "lock_path": PATH,
        "pin_count": found.pins,
        "ok_count": found.ok,
        "stored_count": found.stored,
        "changed": [{"path": path, "difference": difference} for path, difference in found.changed.items()],
        "missing": list(found.missing),
        "damaged": [{"path": path, "message": message} for path, message in found.damaged.items()],
        **signed.facts(found.signatures),
        "problems": [
            *(problem("unreadable", one.message, one.hint, one.location) for one in found.unknown),
            *(problem("could_not_check", one.message, one.hint, one.location) for one in found.signatures.unknown),
        ],
    }
    return headed("evidence-verification", facts, VERSION)


def _lines(found: Verification, *, missing: bool) -> Iterator[str]:
    yield from _pin_lines(found, missing=missing)
    yield from signed.lines(found.signatures)


def _pin_lines(found: Verification, *, missing: bool) -> Iterator[str]:
    if not found.pins:
        yield f"nothing is pinned: {PATH} is not here or empty"
        return
    yield from (f"missing here: {path}" for path in found.missing if missing)
    yield from (f"changed: {path} {difference}" for path, difference in found.changed.items())
    yield from (f"cannot be compared: {one.location.path} {one.message}" for one in found.unknown)
    yield from (f"damaged in the store: {path}: {message}" for path, message in found.damaged.items())
    others = (
        (len(found.changed), "changed"),
        (len(found.missing), "missing here"),
        (len(found.unknown), "not comparable"),
        (found.stored, "contents in the store"),
        (len(found.damaged), "contents damaged in the store"),
    )
    states = ", ".join([f"{found.ok} ok", *(f"{count} {word}" for count, word in others if count)])
    yield f"{counted(found.pins, 'pinned artifact')}: {states}"
