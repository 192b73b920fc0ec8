"""The runs that `evidence summarize` is given: of this repository, or brought here from another clone or work tree."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.shared import running
from orchgate.errors import OrchgateError
from orchgate.evidence import brought, origin
from orchgate.evidence.facts import facts_of
from orchgate.outputs._escape import escape
from orchgate.runs import derivation, ids, locate
from orchgate.runs.run import from_manifest

if TYPE_CHECKING:
    from orchgate.evidence.brought import Examined, Limits
    from orchgate.evidence.lock import Facts

MAX_BYTES = 64 * 1024 * 1024  # of a manifest


class Named(NamedTuple):
    """A run: what it claims, where it comes from ("" for here), and what is to be brought, None for nothing."""

    facts: Facts
    origin: str = ""
    elsewhere: Examined | None = None


def named(root: str, name: str, task: str) -> tuple[str, Named]:
    """The repository path of a run's manifest, here or once it is brought, and the run. Raises OrchgateError."""
    folder = running.locate(root, name, task)[1]
    path = _path(root, os.path.join(folder, ids.MANIFEST))
    try:
        if path:
            full = os.path.join(root, path)
            known = origin.beside(full)
            run = from_manifest(derivation.require_file(full, MAX_BYTES), full)
            return path, Named(facts_of(run), known.words if known else "")
        found = brought.examine(root, folder, _limits(root))
    except OrchgateError as error:
        raise _about(path or name, error) from error
    target = os.path.relpath(os.path.join(found.target, ids.MANIFEST), root)
    words = brought.origin_of(found, os.environ).words
    return target, Named(facts_of(found.run), words, found)


def same(one: Named, other: Named) -> bool:
    """Whether two that would be one run here are the same; of one that is here already, `bring` finds out."""
    if one.elsewhere and other.elsewhere:
        return one.elsewhere.manifest == other.elsewhere.manifest and one.elsewhere.journal == other.elsewhere.journal
    return one.facts == other.facts


def _about(name: str, error: OrchgateError) -> OrchgateError:
    """The same error with the run that it is about."""
    told = OrchgateError(f"{name} {error.message}", error.hint)
    told.exit_code = error.exit_code
    return told


def _path(root: str, manifest: str) -> str:
    """The repository path of a manifest where runs of this repository lie; "" for one elsewhere."""
    from orchgate.config.load import load_work_tree

    top, real = os.path.realpath(root), os.path.realpath(os.path.dirname(manifest))
    path = os.path.relpath(os.path.join(real, ids.MANIFEST), top)
    return path if locate.place_of(path, load_work_tree(root).evidence.roots) else ""


def _limits(root: str) -> Limits:
    from orchgate.config.load import load_work_tree

    config = load_work_tree(root)
    return brought.Limits(config.evidence.max_artifact_bytes, config.manifests.max_bytes)


def bring(root: str, path: str, one: Named) -> None:
    """Copies a run that is elsewhere, with those that its program recorded itself, and says so."""
    if one.elsewhere is None:
        return
    limits = _limits(root)
    try:
        done = brought.bring(one.elsewhere, limits, os.environ)
    except OrchgateError as error:
        raise _about(path, error) from error
    _say(f"{path}: {'copied' if done.new else 'already here, and the same'} (from {one.origin})")
    for left in done.left:
        _say(f"  not copied: {left}")
    for inner in brought.inner(root, one.elsewhere, limits, os.environ):
        _say(f"  {inner}")


def _say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
