"""`orchgate config update`: brings what a configuration extends, says what is pinned no longer, and pins it anew.

The only command that asks another machine for a shared configuration. What it brings lies in the repository, below
`.orchgate/extends/`, named by its digest: checks read it there.
"""

from __future__ import annotations

import contextlib
import os
import re

from orchgate.config.faults import Reading, toml
from orchgate.config.load import build, source_of
from orchgate.config.shared.entries import DIGEST, MOST_SHARED, SharedFile, shared_file
from orchgate.config.shared.layers import EXTENDS, KEPT, MAX_BYTES, as_kept, kept, layered
from orchgate.config.source import MAX_BYTES as MAX_CONFIGURATION
from orchgate.config.source import KeyPositions, Source, error_of, find, parsed
from orchgate.errors import ConfigError, OrchgateError, Unreadable, UsageError, quoted
from orchgate.git.snapshot import WorkTree
from orchgate.lib import files, paths
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.snapshot import Snapshot

    Fetch = Callable[[str], bytes]

AS_PINNED, FETCHED, CHANGED, PINNED = "as pinned", "fetched", "changed", "pinned"
_KEPT_NAME = re.compile(r"[0-9a-f]{64}\.toml")


class FileUpdate(NamedTuple):
    """One of `extends`: what is there now, whether that was brought here, and what became of it."""

    shared: SharedFile
    content: bytes
    state: str

    @property
    def sha256(self) -> str:
        return sha256_hex(self.content)

    @property
    def path(self) -> str:
        """Where its content is in the repository."""
        return kept(self.sha256) if self.shared.is_address else self.shared.place


class ValueChange(NamedTuple):
    """A value that another content brings: `direction` is stricter, looser or other."""

    key: str
    before: object
    after: object
    direction: str


class Update(NamedTuple):
    """What an update found and changes: texts by path, and files that nothing names any more."""

    file: str
    entries: tuple[FileUpdate, ...]
    differences: tuple[ValueChange, ...]
    exceeded: tuple[str, ...]
    writes: Mapping[str, bytes]
    removes: tuple[str, ...]

    @property
    def is_behind(self) -> bool:
        """Whether something is not as it is pinned."""
        return any(one.state in (CHANGED, PINNED) for one in self.entries)


class _After(WorkTree):
    """The work tree as an update will leave it."""

    def __init__(self, root: str, writes: Mapping[str, bytes]) -> None:
        super().__init__(root)
        self._writes = writes

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        return self._writes[path] if path in self._writes else super().find(path, limit)


def looked_at(root: str, fetch: Fetch, *, accept: bool, everything: bool, committed: Snapshot | None = None) -> Update:
    """What an update would do, with nothing written. `everything`: what is here already is fetched again.

    `committed` is looked into where what counted until now is not on disk any more.

    Raises ConfigError, FetchError.
    """
    source = find(WorkTree(root))
    shared = _shared(source, pinned=not accept)
    entries = tuple(
        _entry(root, source, index, one, fetch, accept=accept, everything=everything or accept)
        for index, one in enumerate(shared)
    )
    writes = {one.path: one.content for one in entries if one.shared.is_address and one.state in (FETCHED, PINNED)}
    if not any(one.state == PINNED for one in entries):
        return Update(source.file, entries, (), (), writes, _unnamed(root, entries, writes))
    new = repinned(source, [one.sha256 for one in entries])
    writes[source.file] = new.text.encode()
    after = _built(new, _After(root, writes), entries)
    return Update(
        source.file,
        entries,
        tuple(_differences(_before(root, source, committed), after)),
        tuple(_exceeded(after)),
        writes,
        _unnamed(root, entries, writes),
    )


def _built(source: Source, after: Snapshot, entries: tuple[FileUpdate, ...]) -> Config:
    """Raises ConfigError. What was fetched is named by its address there: its file is not written yet."""
    try:
        return build(layered(source, after), exact=True)
    except ConfigError as error:
        names = {one.path: one.shared.place for one in entries if one.shared.is_address}
        told = [
            (
                message.replace(place[0], names.get(place[0], place[0])),
                hint,
                (names.get(place[0], place[0]), *place[1:]),
            )
            for message, hint, place in ((error.message, error.hint, error.place), *error.others)
        ]
        raise ConfigError(*told[0][:2], tuple(told[1:]), told[0][2]) from error


def _shared(source: Source, *, pinned: bool) -> tuple[SharedFile, ...]:
    """The entries of `extends`, which have to be pinned unless they are about to be. Raises ConfigError."""
    listed = source.table.get(EXTENDS, [])
    reading = Reading()
    if not isinstance(listed, list) or len(listed) > MOST_SHARED or not all(isinstance(one, str) for one in listed):
        reading.wrong((EXTENDS,), f"expected an array of at most {MOST_SHARED} strings")
        raise error_of(source, reading.faults)
    found = tuple(map(shared_file, listed))
    for index, one in enumerate(found):
        fault, hint = one.fault() if pinned else one.fault_of_place()
        if fault:
            reading.wrong((EXTENDS, index), fault, hint)
    if reading.faults:
        raise error_of(source, reading.faults)
    return found


def _entry(
    root: str, source: Source, index: int, one: SharedFile, fetch: Fetch, *, accept: bool, everything: bool
) -> FileUpdate:
    if not one.is_address:
        content = _here(root, source, index, one.place)
        return FileUpdate(one, content, _state(one, content, AS_PINNED, accept=accept))
    known = _known(root, one)
    if known is not None and not everything:
        return FileUpdate(one, known, AS_PINNED)
    content = as_kept(fetch(one.place))
    return FileUpdate(one, content, _state(one, content, FETCHED if known is None else AS_PINNED, accept=accept))


def _state(one: SharedFile, content: bytes, same: str, *, accept: bool) -> str:
    if sha256_hex(content) == one.sha256:
        return same
    return PINNED if accept else CHANGED


def _here(root: str, source: Source, index: int, path: str) -> bytes:
    reading = Reading()
    try:
        paths.require_real(root, path)
        content = WorkTree(root).find(path, MAX_BYTES)
    except OrchgateError as error:
        content = None
        reading.wrong((EXTENDS, index), f"{path}: {error.message}", error.hint)
    else:
        if content is None:
            reading.wrong((EXTENDS, index), f"there is no file {path}")
    if content is None:
        raise error_of(source, reading.faults)
    return as_kept(content)


def _known(root: str, one: SharedFile) -> bytes | None:
    """What was fetched of an entry and is as pinned; None for anything else."""
    try:
        content = WorkTree(root).find(kept(one.sha256), MAX_BYTES)
    except Unreadable:
        return None
    content = as_kept(content) if content is not None else None
    return content if content is not None and sha256_hex(content) == one.sha256 else None


def _unnamed(root: str, entries: tuple[FileUpdate, ...], writes: Mapping[str, bytes]) -> tuple[str, ...]:
    """What was fetched once and nothing names any more."""
    folder = os.path.join(root, *KEPT.split("/"))
    named = {*writes, *(one.path for one in entries)}
    named.update(kept(one.shared.sha256) for one in entries if one.state != PINNED)
    listed = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return tuple(f"{KEPT}/{name}" for name in listed if _KEPT_NAME.fullmatch(name) and f"{KEPT}/{name}" not in named)


def repinned(source: Source, digests: list[str]) -> Source:
    """A configuration whose shared files are pinned by these. Raises ConfigError where it cannot be done in place."""
    listed = source.table[EXTENDS]
    assert isinstance(listed, list)
    wanted = [f"{shared_file(entry).place}{DIGEST}{digest}" for entry, digest in zip(listed, digests, strict=True)]
    text = source.text
    for index in reversed(range(len(wanted))):
        start = KeyPositions(source).offset((EXTENDS, index))
        end = text.find(text[start], start + 1) + 1 if start >= 0 else 0
        if text[start : start + 1] not in ("'", '"') or not end:
            raise _by_hand(source)
        text = text[:start] + toml(wanted[index]) + text[end:]
    try:
        table: object = parsed(source.file, text.encode())[0]
    except ConfigError as error:
        raise _by_hand(source) from error
    for name in source.below:
        table = table[name] if isinstance(table, dict) else {}
    if table != {**source.table, EXTENDS: wanted}:
        raise _by_hand(source)
    assert isinstance(table, dict)
    return source._replace(table=table, text=text)


def _by_hand(source: Source) -> ConfigError:
    return ConfigError(f"{source.file}: {EXTENDS} cannot be rewritten in place", "write it as an array of strings")


def _before(root: str, source: Source, committed: Snapshot | None) -> Config | None:
    """What counted until now; None where nobody knows."""
    with contextlib.suppress(ConfigError):
        return build(layered(source, WorkTree(root)))
    with contextlib.suppress(ConfigError):
        return build(source_of(committed)) if committed is not None else None
    return None


def _differences(before: Config | None, after: Config) -> Iterator[ValueChange]:
    from orchgate.config.loosening import loosened, table_of
    from orchgate.gate.suppressions import every_rule

    if before is None:
        return
    rules, old, new = every_rule(), table_of(before), table_of(after)
    looser = {_table(one.at) for one in loosened(before, after, rules)}
    stricter = {_table(one.at) for one in loosened(after, before, rules)}
    for key, value in new.items():
        if key != EXTENDS and value != old[key]:
            directions = ("looser",) * (key in looser) + ("stricter",) * (key in stricter)
            yield ValueChange(key, old[key], value, directions[0] if len(directions) == 1 else "other")


def _table(at: tuple[str | int, ...]) -> str:
    """The key that a loosening is part of: a severity, an exception and a pipeline are entries of one."""
    from orchgate.config.faults import dotted

    return str(at[0]) if at[0] in ("severity", "ignore", "pipelines") else dotted(at)


def _exceeded(config: Config) -> Iterator[str]:
    from orchgate.config.shared.policy import exceeded
    from orchgate.gate.suppressions import every_rule

    return (one.message for one in exceeded(config, every_rule()))


def write(root: str, update: Update) -> None:
    """Writes what an update changes: what is named before what names it. Raises OrchgateError."""
    for path in (*update.writes, *update.removes):
        paths.require_real(root, path)
    for path, content in sorted(update.writes.items(), key=lambda one: one[0] == update.file):
        if path == update.file:
            write_configuration(root, path, content.decode())
        else:
            _make_folder(os.path.join(root, os.path.dirname(path)))
            files.replace(os.path.join(root, path), content)
    for path in update.removes:
        with contextlib.suppress(OSError):  # it harms nobody
            os.unlink(os.path.join(root, path))


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise files.failure(path, error) from error


def write_configuration(root: str, file: str, text: str) -> None:
    """Puts a text in place of a configuration file. Raises UsageError for a link."""
    path = os.path.join(root, file)
    if os.path.islink(path):
        raise UsageError(f"{file} is a symbolic link", "put the file itself there")
    mark = b"\xef\xbb\xbf" if files.read(path, MAX_CONFIGURATION + 3).startswith(b"\xef\xbb\xbf") else b""
    files.replace(path, mark + text.encode(), executable=False)


def lines(update: Update, *, written: bool) -> Iterator[str]:
    """What an update found and did, as lines of text."""
    if not update.entries:
        yield f"{update.file or 'there is no configuration file'}: extends nothing"
    for one in update.entries:
        yield f"{one.shared.place}: {_said(one)}"
    for found in update.differences:
        yield f"  {found.direction}: {found.key}: {toml(found.before)} -> {toml(found.after)}"
    yield from (f"  {message}" for message in update.exceeded)
    done = ("wrote", "removed") if written else ("would write", "would remove")
    for word, listed in zip(done, (sorted(update.writes), update.removes), strict=True):
        if listed:
            yield f"{word} {', '.join(listed)}"
    if written and (update.writes or update.removes):
        changed = (
            *(one.path for one in update.entries if one.state == PINNED),
            *update.removes,
            *sorted(update.writes),
        )
        yield f"  git add {' '.join(dict.fromkeys(KEPT if one.startswith(KEPT) else quoted(one) for one in changed))}"


def _said(one: FileUpdate) -> str:
    if one.state == CHANGED:
        return f"is not what is pinned: its SHA-256 is {one.sha256}"
    if one.state == PINNED:
        return f"pinned {one.shared.sha256[:12] or 'anew'} -> {one.sha256[:12]}" if one.shared.sha256 else "pinned"
    return "fetched, as pinned" if one.state == FETCHED else AS_PINNED


def facts(update: Update, *, written: bool) -> dict[str, object]:
    """The same as JSON."""
    from orchgate.commands.config.plain import plain

    return {
        "path": update.file or None,
        "shared": [
            {
                "name": one.shared.place,
                "path": one.path,
                "pinned_sha256": one.shared.sha256 or None,
                "sha256": one.sha256,
                "state": one.state.replace(" ", "_"),
            }
            for one in update.entries
        ],
        "differences": [
            {"key": one.key, "before": plain(one.before), "after": plain(one.after), "direction": one.direction}
            for one in update.differences
        ],
        "looser_than_shared": list(update.exceeded),
        "written": sorted(update.writes) if written else [],
        "removed": list(update.removes) if written else [],
        "is_behind": update.is_behind,
    }
