"""Who signed the runs that are pinned, as far as that holds: for the page, by the signers of the base."""

from __future__ import annotations

from orchgate.attest import bundle
from orchgate.attest.envelope import MAX_BYTES
from orchgate.attest.signatures import Verifier
from orchgate.errors import OrchgateError
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.report.values import ReadProblem
from orchgate.runs.locate import journal_of, place_of
from orchgate.signers.requirement import pinned_subject
from orchgate.signers.trusted import signers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.evidence.lock import Lock
    from orchgate.gate.context import Context
    from orchgate.report.values import Artifact

MOST = 50  # runs whose signatures are verified: each costs some processes
_LONGEST = 120  # characters of names
_VERIFY = "orchgate evidence verify"


def marked(ctx: Context, lock: Lock, artifacts: Iterable[Artifact], problems: list[ReadProblem]) -> list[Artifact]:
    """Artifacts, the manifests with what their signatures show; why nobody can tell is added to the problems."""
    rows = list(artifacts)
    bundles = dict(_bundles(ctx, rows))
    if not bundles:
        return rows
    try:
        names = _names(ctx, lock, dict(list(bundles.items())[:MOST]))
    except OrchgateError as error:
        where = f"{bundle.ALLOWED_SIGNERS}: signatures were not verified: "
        problems.append(ReadProblem("signatures-unverified", where + error.message, error.hint or _VERIFY))
        return rows
    if len(bundles) > MOST:
        what = f"signatures of {counted(len(bundles) - MOST, 'run')} more than {MOST} were not verified"
        problems.append(ReadProblem("signatures-unverified", what, _VERIFY))
    return [row._replace(signed_by=names.get(row.path)) for row in rows]


def _bundles(ctx: Context, rows: Iterable[Artifact]) -> Iterator[tuple[str, str]]:
    """The manifests with signatures in the judged tree, and where those are."""
    there = frozenset(ctx.snapshot.starting(bundle.FOLDER + "/"))
    for row in rows if there else ():
        place = place_of(row.path, tuple(ctx.config.evidence.roots)) if row.pinned else None
        if place and (path := bundle.path_of(place)) in there:
            yield row.path, path


def _names(ctx: Context, lock: Lock, bundles: dict[str, str]) -> dict[str, str]:
    """What the signatures of each run show, by its manifest. Raises OrchgateError where nobody here can tell."""
    signers = signers_of(ctx.base, ctx.snapshot)
    if signers is None:
        raise OrchgateError("the base has no list of signers", "orchgate evidence sign")
    with Verifier(signers) as verifier:
        return {manifest: _shown(ctx, lock, manifest, path, verifier) for manifest, path in bundles.items()}


def _shown(ctx: Context, lock: Lock, manifest: str, path: str, verifier: Verifier) -> str:
    pin, journal = lock.pins[manifest], lock.get(journal_of(manifest))
    if pin.run is None:
        return "not verified: its pin says nothing of a run"
    place = place_of(manifest, tuple(ctx.config.evidence.roots))
    subject = pinned_subject(pin.run, place, pin.sha256, journal.sha256 if journal else None)
    data, before = (tree.find(path, MAX_BYTES) or b"" for tree in (ctx.snapshot, ctx.base))
    found = verifier.verify(data, subject, at=ctx.now, before=before)
    if names := dict.fromkeys(name for one in found if one.is_valid for name in one.principals):
        return clip(", ".join(names), _LONGEST)
    return clip(f"nobody: {found[0].why}" if found else "nobody", _LONGEST)
