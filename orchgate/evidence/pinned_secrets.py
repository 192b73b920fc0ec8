"""Artifacts that a change pins and that look as if they held a secret, by the limits of its base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.evidence import carry, secrets
from orchgate.evidence.lock import LockError, of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.settings import Evidence
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts


def pinned_secrets(snapshot: Snapshot, base: Snapshot, artifacts: Artifacts, settings: Evidence) -> Iterator[str]:
    """Place of the first match in each artifact that is newly pinned, as far as it is on this machine.

    What is not here was looked at where it was pinned, and will be where it is pushed. Raises LockError.
    """
    patterns = secrets.compiled(settings.secrets, settings.secrets_allowed)
    try:
        before = of(base)
    except LockError:  # says nothing about what was pinned: all of it may be new
        before = None
    now = of(snapshot)
    for path, pin in now.pins.items() if now else ():
        if (before and before.get(path) == pin) or pin.size > settings.max_artifact_bytes:
            continue
        try:
            found = secrets.first(carry.read(artifacts, pin), patterns)
        except Unreadable:
            continue
        if found:
            yield f"{path} {found.unseen}" if found.unseen else f"{found.place(path)} looks like a secret"
