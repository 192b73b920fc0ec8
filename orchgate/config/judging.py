"""Whose configuration judges a change, key by key: the base's limits, both sides' places, and the change's taste."""

from __future__ import annotations

from orchgate.config.faults import dotted
from orchgate.config.keys import Nested, Role, fields, of_check
from orchgate.config.load import Limits, build, source_of
from orchgate.config.settings import SECTIONS
from orchgate.config.source import FILE, NOTHING, PYPROJECT, NoConfiguration, project_of
from orchgate.errors import ConfigError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from orchgate.config.faults import At
    from orchgate.config.settings import Config
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Scope

LINK = "120000"


def limits(proposed: Config, scope: Scope, base: Snapshot, snapshot: Snapshot) -> Limits:
    """The limits of a change that touches the configuration. Raises ConfigError.

    A base without configuration is judged by the defaults, and they are its limits. So are they where the base's cannot
    be read; but the change that only repairs it is judged by its own, or it could not land in a repository that has
    exceptions. Where there is no base at all the proposed configuration judges.
    """
    _refuse_link(scope, proposed.source.files[0])
    if scope.base is None:
        return Limits(proposed)
    unread = ""
    named = proposed.source.file if proposed.source.named else ""
    try:
        accepted = build(source_of(base, named))
    except NoConfiguration:
        accepted = build(NOTHING)
    except ConfigError as error:
        unread = error.message
        if only_configuration(scope, base, snapshot, proposed.source.files):
            return Limits(proposed, unread=unread)
        accepted = build(NOTHING)
    return Limits(in_force(proposed, accepted, snapshot.entries), accepted, unread)


def _refuse_link(scope: Scope, file: str) -> None:
    if any(change.path == file and change.new_mode == LINK for change in scope.changes):
        raise ConfigError(f"{file}: is a symbolic link", "put the file itself there")


def only_configuration(
    scope: Scope, base: Snapshot, snapshot: Snapshot, files: Collection[str] = (FILE, PYPROJECT)
) -> bool:
    """Whether the change holds nothing but configuration; of pyproject.toml, nothing but our table."""
    paths = {path for change in scope.changes for path in (change.path, change.old_path) if path}
    if not paths <= set(files):
        return False
    if PYPROJECT not in paths or PYPROJECT not in files:
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
    origins = {key: f"{origin} at the base" for key, origin in base.origins.items()}
    # Each table is put back where it came from, which no type checker can follow through a mapping.
    sections: dict[str, Any] = {}
    for name, table in SECTIONS.items():
        old, new = getattr(base, name or "top"), getattr(proposed, name or "top")
        sections[name or "top"] = _merged(table, (name,) if name else (), (old, new), proposed, origins)
    checks: dict[str, object] = {}
    for name in {**base.tables.values, **proposed.tables.values}:
        table = of_check(name)
        checks[name] = _merged(table, (name,), (base.of(table), proposed.of(table)), proposed, origins)
    config = base._replace(**sections, tables=base.tables._replace(values=checks), origins=origins)
    documents, index = config.documents, proposed.documents.task_index
    if documents.task_index not in entries and index in entries:
        config = config._replace(documents=documents._replace(task_index=index))
    return config


def _merged(table: Any, at: At, sides: tuple[Any, Any], proposed: Config, origins: dict[str, str]) -> Any:
    old, new = sides
    values: dict[str, object] = {}
    for field, one in fields(table).items():
        path, before, after = (*at, field.replace("_", "-")), getattr(old, field), getattr(new, field)
        if isinstance(one, Nested):
            values[field] = _merged(one.table, path, (before, after), proposed, origins)
        elif one.role is Role.TASTE:
            values[field] = after
            _taken_over(dotted(path), proposed, origins)
        elif one.moves and before != after:
            values[field] = tuple(dict.fromkeys((*after, *before)))
            origins[dotted(path)] = f"{proposed.origin(dotted(path))}, and {origins.get(dotted(path), 'default')}"
    return old._replace(**values)


def _taken_over(key: str, proposed: Config, origins: dict[str, str]) -> None:
    origins.pop(key, None)
    if key in proposed.origins:
        origins[key] = proposed.origins[key]
