"""A configuration that extends others: what its own file says, else the files that many repositories share.

Each of them is pinned by the SHA-256 of its content, with line ends as git keeps them. It is read from the tree that is
judged: a file of this repository, or what `orchgate config update` fetched and put into `.orchgate/extends/`. Nothing
here asks another machine.
"""

from __future__ import annotations

from orchgate.config.faults import Reading, clipped
from orchgate.config.keys import EXTEND
from orchgate.config.shared.entries import SharedFiles, shared_file
from orchgate.config.source import Source, error_of, parsed
from orchgate.errors import ConfigError, Unreadable
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.faults import At
    from orchgate.config.keys import Moved
    from orchgate.config.shared.entries import SharedFile
    from orchgate.git.snapshot import Snapshot

EXTENDS = "extends"
MAY_LOOSEN = "may-loosen"
KEPT = ".orchgate/extends"
SHARED = "shared "  # and the name of the file, where `orchgate config show` says where a value comes from
MAX_BYTES = 256 * 1024  # of each, of which there may be eight
UPDATE = "orchgate config update"
KEEP = f"{UPDATE} && git add {KEPT}"
ACCEPT = "orchgate config update --accept"


def kept(sha256: str) -> str:
    """Where in a tree the content of an address is."""
    return f"{KEPT}/{sha256}.toml"


def digest(content: bytes) -> str:
    """What a content is pinned by: a checkout may have other line ends."""
    return sha256_hex(as_kept(content))


def as_kept(content: bytes) -> bytes:
    """A content with the line ends that it is kept with."""
    return content.replace(b"\r\n", b"\n") if b"\r" in content else content


def layered(own: Source, snapshot: Snapshot) -> Source:
    """A configuration with those that it extends. Raises ConfigError: what is not as pinned is never passed over."""
    reading = Reading()
    entries = SharedFiles().read(own.table[EXTENDS], (EXTENDS,), reading)
    if MAY_LOOSEN in own.table:
        what = f"a configuration that {EXTENDS} others cannot say what may be loosened: they do"
        reading.wrong((MAY_LOOSEN,), what, of_key=True)
    if reading.faults:
        raise error_of(own, reading.faults)
    assert isinstance(entries, tuple)
    found = [(one.place, _content(own, index, one, snapshot)) for index, one in enumerate(map(shared_file, entries))]
    shared = tuple((name, _source(path, content)) for name, (path, content) in found)
    return over(shared, own)


def over(shared: tuple[tuple[str, Source], ...], own: Source) -> Source:
    """What a file says, and behind it those that it extends."""
    below: dict[str, object] = {}
    allowed: list[object] = []
    try:
        for _, one in shared:
            below = merged(below, one.table, top=True)
            allowed = [*(found if isinstance(found := one.table.get(MAY_LOOSEN), list) else ()), *allowed]
        table = merged(below, own.table, top=True)
    except RecursionError as error:
        raise ConfigError(f"{own.file}: tables of what it {EXTENDS} are nested too deep") from error
    if MAY_LOOSEN in below:
        table[MAY_LOOSEN] = allowed or below[MAY_LOOSEN]
    return own._replace(table=table, shared=shared, own=own.table)


def merged(below: Mapping[str, object], own: Mapping[str, object], *, top: bool = False) -> dict[str, object]:
    """A table over another one: tables in it are merged, and what is added to lists is added up; all else replaces."""
    found = dict(below)
    for key, value in own.items():
        under = found.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            found[key] = merged(under, value)
        elif (
            isinstance(value, list)
            and isinstance(under, list)
            and (key.startswith(EXTEND) or (top and key == "ignore"))
        ):
            found[key] = [*value, *under]
        else:
            found[key] = value
            if EXTEND + key not in own:
                found.pop(EXTEND + key, None)  # added to what counts no longer
    return found


def _content(own: Source, index: int, one: SharedFile, snapshot: Snapshot) -> tuple[str, bytes]:
    """The path of an entry's content in the tree, and what is there. Raises ConfigError unless it is what is pinned."""
    path = kept(one.sha256) if one.is_address else one.place
    try:
        content = snapshot.find(path, MAX_BYTES)
    except Unreadable as error:
        raise _error(own, index, f"{path}: {error.message}", error.hint) from error
    if content is None:
        raise _missing(own, index, one, path, snapshot)
    content = as_kept(content)
    if (found := sha256_hex(content)) != one.sha256:
        raise _error(own, index, *_other(one, path, found, snapshot))
    return path, content


def _missing(own: Source, index: int, one: SharedFile, path: str, snapshot: Snapshot) -> ConfigError:
    if one.is_address:
        return _error(own, index, f"{clipped(one.place, 200)}: the tree does not have {path}", KEEP)
    parents = {path[:at] for at, letter in enumerate(path) if letter == "/"}
    if parents.intersection(snapshot.indirect):
        what = f"{path} is behind a submodule or a symbolic link, which is no part of the tree that is judged"
        return _error(own, index, what, "put the file itself there, or name an https address")
    return _error(own, index, f"the tree does not have {path}")


def _other(one: SharedFile, path: str, found: str, snapshot: Snapshot) -> tuple[str, str]:
    from orchgate.git.snapshot import SYMLINK

    entry = snapshot.entries.get(path)
    if entry is not None and entry.mode == SYMLINK:
        return f"{path} is a symbolic link", "put the file itself there"
    message = f"{path} is not what is pinned: its SHA-256 is {found}"
    return message, f"rm {path} && {UPDATE}" if one.is_address else ACCEPT


def _error(own: Source, index: int, message: str, hint: str = "") -> ConfigError:
    reading = Reading()
    reading.wrong((EXTENDS, index), message, hint)
    return error_of(own, reading.faults)


def _source(path: str, content: bytes) -> Source:
    source = Source(path, *parsed(path, content))
    reading = Reading()
    if EXTENDS in source.table:
        what = "a shared configuration cannot extend another one"
        reading.wrong((EXTENDS,), what, "name both where they are extended", of_key=True)
    history = source.table.get("history")
    if isinstance(history, dict) and "repository" in history:
        reading.wrong(("history", "repository"), "names one repository, and many share this file", of_key=True)
    if reading.faults:
        raise error_of(source, reading.faults)
    return source


def tell_apart(origins: dict[str, str], source: Source, moved: Mapping[At, Moved]) -> None:
    """Says of each value that the configuration sets which of its files it comes from."""
    for key, origin in origins.items():
        if origin == source.file:
            path: At = tuple(key.split("."))
            origins[key] = ", and ".join(_setters(source, moved[path].at if path in moved else path)) or origin


def _setters(source: Source, path: At) -> Iterator[str]:
    own = source.own or {}
    layers = ((source.file, own), *((SHARED + name, one.table) for name, one in reversed(source.shared)))
    for name, table in layers:
        value = value_at(table, path)
        more = value_at(table, (*path[:-1], f"{EXTEND}{path[-1]}"))
        if value is None and more is None:
            continue
        yield name
        if value is not None and not isinstance(value, dict) and path != ("ignore",):
            return  # what is below does not count any more


def value_at(table: Mapping[str, object], path: At) -> object:
    """What stands at a path of a table; None where nothing does."""
    value: object = table
    for part in path:
        value = value.get(str(part)) if isinstance(value, dict) else None
    return value


def keep_weight(source: Source, reading: Reading) -> None:
    """What says that a value is looser than a shared one cannot be made to weigh less by who sets that value."""
    own = source.own or {}
    severity, ignores, olds = own.get("severity"), own.get("ignore"), own.get("per-file-ignores")
    what = "says that a value is looser than what is shared; only a shared configuration can let it pass"
    for name, weight in severity.items() if isinstance(severity, dict) else ():
        if str(name).upper() in _SAYS_SO and weight != "error":
            reading.wrong(("severity", str(name)), what, of_key=True)
    listed: list[tuple[At, object]] = [(("ignore", at), one) for at, one in enumerate(_listed(ignores))]
    listed += [(("per-file-ignores", str(glob)), one) for glob, one in (olds if isinstance(olds, dict) else {}).items()]
    for at, ignore in listed:
        for index, rule in enumerate(_listed(ignore.get("rules")) if isinstance(ignore, dict) else ()):
            if str(rule).upper() in _SAYS_SO:
                reading.wrong((*at, "rules", index), f"{rule} {what}")


_SAYS_SO = ("CFG001", "CFG", "CONFIGURATION")


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
