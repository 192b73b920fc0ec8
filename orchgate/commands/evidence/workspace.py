"""What `evidence push`, `fetch` and `show` share: lock and disk of this work tree, and the store beside them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.shared import durations
from orchgate.errors import GitError, UsageError
from orchgate.evidence.lock import PATH
from orchgate.outputs._escape import escape
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from orchgate.config.settings import Config
    from orchgate.evidence.lock import Lock, Pinned
    from orchgate.git.store import Connection, Store


class EvidenceWorkspace(NamedTuple):
    root: str
    config: Config
    lock: Lock
    artifacts: Artifacts
    store: Store

    @property
    def limit(self) -> int:
        """Bytes of the largest artifact."""
        return self.config.evidence.max_artifact_bytes


@contextlib.contextmanager
def here() -> Iterator[EvidenceWorkspace]:
    """The work tree around the current folder. Raises OrchgateError, GitError, ConfigError."""
    from orchgate.config.load import load_work_tree
    from orchgate.evidence import pin
    from orchgate.gate import session
    from orchgate.git.store import Store

    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree with artifacts", "run this in a clone")
        config = load_work_tree(repository.root)
        artifacts = Artifacts(repository.root, config.evidence.roots)
        lock = pin.lock_of(repository.root)
        yield EvidenceWorkspace(repository.root, config, lock, artifacts, Store(repository, os.environ))


def chosen(place: EvidenceWorkspace, given: Sequence[str]) -> list[Pinned]:
    """The pins of the artifacts (or folders of them) that are named, all of them for none. Raises UsageError."""
    if not given:
        return list(place.lock.pins.values())
    found: dict[str, Pinned] = {}
    for name in given:
        path = named(place, name)
        pin = place.lock.get(path)
        pins = [pin] if pin else list(place.lock.below(path))
        if not pins:
            raise UsageError(f"{name} is not pinned", f"orchgate evidence pin {name}")
        found |= {one.path: one for one in pins}
    return list(found.values())


def named(place: EvidenceWorkspace, link: str) -> str:
    """The repository path that a link means: as a document writes it, from the top, or from the current folder."""
    from orchgate.commands.evidence.pinning import repository_path

    path = link.strip().strip("`<>").partition("#")[0].rstrip("/")
    inner = os.path.normpath(path)
    while inner.startswith("../"):
        inner = inner[3:]
    for candidate in (repository_path(place.root, path), os.path.normpath(path), inner):
        if candidate and (place.lock.get(candidate) or place.artifacts.owns(candidate)):
            return candidate
    return os.path.normpath(path)


def add_remote(parser: argparse.ArgumentParser) -> None:
    """The options of the verbs that talk to a server."""
    parser.add_argument("--remote", default="", metavar="NAME", help="a remote (that of this branch, or origin)")
    parser.add_argument(
        "--timeout",
        type=durations.up_to(durations.DAY),
        metavar="TIME",
        help="give up on a server that sends nothing for so long, such as 30s (60s when asked what it has, 5m while "
        "contents travel; waiting for a password does not count)",
    )


def note(connection: Connection) -> None:
    """Prints what was wrong and did not stop us, and what the server said."""
    for line in (*connection.said, *connection.notes):
        say(line)


@contextlib.contextmanager
def online() -> Iterator[None]:
    """Around what talks to a server: its own words are shown when it fails, and a signal ends it tidily."""
    import signal

    from orchgate.git.server import ServerRefused

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    except ServerRefused as error:
        for line in error.said:
            say(line)
        raise
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def nothing_pinned(place: EvidenceWorkspace) -> bool:
    """Whether there is nothing to carry, which is said."""
    if place.lock.pins:
        return False
    say(f"nothing is pinned in {PATH}")
    say("  hint: orchgate evidence pin")
    return True


def say(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
