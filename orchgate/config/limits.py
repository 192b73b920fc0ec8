"""Whose configuration judges a change: that of the base, so that nobody raises the limits he is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.config.kinds import join
from orchgate.config.load import FILE, PYPROJECT, Source, build, find, project_of
from orchgate.config.loosening import fields
from orchgate.config.shapes import Role
from orchgate.config.table import TABLE
from orchgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from orchgate.config.settings import Config
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Scope

LINK = "120000"


class Limits(NamedTuple):
    """`config` is what judges. `accepted` is the base's: None where the change leaves it alone, or there is no base.

    `unread` says why the base's could not be read, "" when it could.
    """

    config: Config
    accepted: Config | None = None
    unread: str = ""


def touches(scope: Scope) -> bool:
    """Whether the change edits a file that may hold the configuration."""
    return any(path in (FILE, PYPROJECT) for change in scope.changes for path in (change.path, change.old_path))


def limits(proposed: Config, scope: Scope, base: Snapshot, snapshot: Snapshot) -> Limits:
    """The limits of a change that touches the configuration. Raises ConfigError.

    A base without configuration is judged by the defaults, and they are its limits. So are they where the base's cannot
    be read; but the change that only repairs it is judged by its own, or it could not land in a repository that has
    exceptions. Where there is no base at all the proposed configuration judges.
    """
    _refuse_link(scope)
    if scope.base is None:
        return Limits(proposed)
    unread = ""
    try:
        accepted = build(find(base))
    except ConfigError as error:
        unread = error.message
        if only_configuration(scope, base, snapshot):
            return Limits(proposed, unread=unread)
        accepted = build(Source("", {}))
    return Limits(in_force(proposed, accepted, snapshot.entries), accepted, unread)


def _refuse_link(scope: Scope) -> None:
    if any(change.path == FILE and change.new_mode == LINK for change in scope.changes):
        raise ConfigError(f"{FILE}: is a symbolic link", "put the file itself there")


def only_configuration(scope: Scope, base: Snapshot, snapshot: Snapshot) -> bool:
    """Whether the change holds nothing but configuration; of pyproject.toml, nothing but our table."""
    paths = {path for change in scope.changes for path in (change.path, change.old_path) if path}
    if not paths <= {FILE, PYPROJECT}:
        return False
    if PYPROJECT not in paths:
        return True
    try:
        return _others(base) == _others(snapshot)
    except ConfigError:
        return False


def _others(snapshot: Snapshot) -> dict[str, object]:
    """What pyproject.toml holds beside our table. Raises ConfigError."""
    project = project_of(snapshot)
    tool = project.get("tool")
    if isinstance(tool, dict):
        tool.pop("orchgate", None)
        if not tool:
            del project["tool"]
    return project


def in_force(proposed: Config, base: Config, entries: Collection[str]) -> Config:
    """The base's limits, and what is taste from the proposal.

    Keys that name places count with both values, the new ones first. A task list that is no longer where the base's
    configuration says is looked for where the proposed one does. `entries` are the paths of the judged tree.
    """
    origins = {key: _at_base(origin) for key, origin in base.origins.items()}
    # Each section is put back where it came from, which no type checker can follow through a table.
    sections: dict[str, Any] = {
        name.replace("-", "_") or "top": _section(proposed, base, name, origins) for name in TABLE
    }
    config = base._replace(**sections, shadowed=proposed.shadowed, origins=origins)
    documents, index = config.documents, proposed.documents.task_index
    if documents.task_index not in entries and index in entries:
        config = config._replace(documents=documents._replace(task_index=index))
    return config


def _section(proposed: Config, base: Config, name: str, origins: dict[str, str]) -> Any:
    section = name.replace("-", "_") or "top"
    old, new = getattr(base, section), getattr(proposed, section)
    values: dict[str, object] = {}
    for field, key in fields(name):
        before, after, path = getattr(old, field), getattr(new, field), join(name, field.replace("_", "-"))
        if key.role is Role.TASTE:
            values[field], origins[path] = after, proposed.origins[path]
        elif key.moves and before != after:
            values[field] = tuple(dict.fromkeys((*after, *before)))
            origins[path] = f"{proposed.origins[path]}, and {origins[path]}"
    return old._replace(**values)


def _at_base(origin: str) -> str:
    """Where a value in force comes from. A default is one wherever it is read."""
    return origin if origin == "default" else f"{origin} at the base"
