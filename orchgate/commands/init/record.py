"""What `orchgate init` found when it changed a file, kept in the git folder, so that `--remove` gives it back.

A colleague's clone has no such record: there, what was added is recognised in the files themselves.
"""

from __future__ import annotations

import json
import os

from orchgate.commands.init import agents, ci, edits, runners
from orchgate.commands.init.edits import Edit, is_executable
from orchgate.commands.init.place import GENERATED, HOOK_TYPES, Plan
from orchgate.config import source
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.init.place import Place
    from orchgate.git.repository import Repository

_FILE = os.path.join("orchgate", "init.json")
_MAX_BYTES = 8 * 1024 * 1024


class Was(NamedTuple):
    """A file before `init` changed it (None: not there), and the digest of what it made of it."""

    before: str | None
    after: str
    executable: bool


def read(repository: Repository) -> dict[str, Was]:
    """What is on record, by path; nothing where the record cannot be read."""
    try:
        found = json.loads(files.read(os.path.join(repository.git_dir, _FILE), _MAX_BYTES))
        return {str(path): Was(*entry) for path, entry in found["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def add(repository: Repository, edits: Iterable[Edit]) -> None:
    """Puts edits on record, before they are made. Raises WriteError."""
    known = read(repository)
    for edit in edits:
        earlier = known.get(edit.path)
        ours = earlier is not None and edit.before is not None and earlier.after == digest(edit.before)
        start = earlier.before if earlier is not None and ours else edit.before
        runs = earlier.executable if earlier is not None and ours else _runs(repository, edit.path)
        known[edit.path] = Was(start, digest(edit.after or ""), runs)
    _put(repository, known)


def drop(repository: Repository) -> None:
    if os.path.exists(os.path.join(repository.git_dir, _FILE)):
        os.unlink(os.path.join(repository.git_dir, _FILE))


def digest(content: str) -> str:
    return sha256_hex(content)


def _runs(repository: Repository, path: str) -> bool:
    return is_executable(os.path.join(repository.root, path))


def _put(repository: Repository, known: Mapping[str, Was]) -> None:
    path = os.path.join(repository.git_dir, _FILE)
    whole = {"format": "orchgate-init", "version": 1, "files": {name: list(was) for name, was in known.items()}}
    files.make_folders(os.path.dirname(path))
    files.replace(path, json.dumps(whole, indent=1, sort_keys=True).encode("ascii"))


def removal(place: Place) -> Plan:
    """What `--remove` does: what was there before comes back; where no record says what that was, our lines go.

    Raises OrchgateError.
    """
    restored = list(_recorded(place))
    done = {edit.path for edit in restored}
    others = [edit for edit in (*runners.undo(place), *ci.undo(place), *agents.undo(place)) if edit.path not in done]
    made = [*restored, *others]
    made += [edit for edit in _orphans(place, made) if edit.path not in {one.path for one in made}]
    return Plan(tuple(made), notes=tuple(_notes(place, made)))


def _recorded(place: Place) -> Iterator[Edit]:
    """Files that are still as `init` left them, as they were before."""
    for path, was in sorted(read(place.repository).items()):
        now = edits.read(os.path.join(place.root, path))
        if now is not None and digest(now) == was.after and now != was.before:
            yield Edit(path, now, was.before, "as it was" if was.before is not None else "", executable=was.executable)


def _orphans(place: Place, made: Sequence[Edit]) -> Iterator[Edit]:
    """Scripts of a runner whose configuration goes: they would refuse every commit."""
    gone = {edit.path for edit in made if edit.after is None}
    for runner, named in (
        ("pre-commit", (".pre-commit-config.yaml",)),
        ("prek", ("prek.toml", ".pre-commit-config.yaml")),
    ):
        if not gone.intersection(named) or any(place.has(file) and file not in gone for file in named):
            continue
        for hook in HOOK_TYPES:
            content = place.hook_text(hook)
            if GENERATED[runner] in content:
                yield Edit(place.shown(os.path.join(place.hooks, hook)), content, None)


def _notes(place: Place, made: Sequence[Edit]) -> Iterator[str]:
    if place.has(source.FILE) and source.FILE not in {edit.path for edit in made}:
        yield f"{source.FILE} stays: it was there before, or somebody changed it since"
