"""Whose signatures count: the lists of signers and of revoked keys that a tree keeps, and how a change widens them.

Both are files of OpenSSH (ssh-keygen(1), ALLOWED SIGNERS and KEY REVOCATION LISTS). A change is judged by the signers
of its base, so that nobody lets their own key in; what the change revokes is revoked at once.
"""

from __future__ import annotations

from orchgate.attest.bundle import ALLOWED_SIGNERS as ALLOWED
from orchgate.attest.bundle import REVOKED_KEYS as REVOKED
from orchgate.attest.signatures import MAX_SIGNERS_BYTES, Signers
from orchgate.attest.ssh import fingerprint, key_in, unreadable_line
from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip, covers_pattern
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.snapshot import Snapshot

MAX_BYTES = MAX_SIGNERS_BYTES
_LONGEST = 300  # characters of a message about signers
_KRL = b"SSHKRL\n\0"
_WORDS = lazy(rb'(?:"[^"]*"|[^\s"])+')
_OPTIONS = lazy(rb'([A-Za-z-]+)(?:="([^"]*)")?(?:,|$)')
_AUTHORITY, _NAMESPACES, _AFTER, _BEFORE = "cert-authority", "namespaces", "valid-after", "valid-before"
_EXCEPT = "!"  # names that a pattern on the same line does not stand for
_KNOWN = {_AUTHORITY, _NAMESPACES, _AFTER, _BEFORE}


def signers_of(base: Snapshot, judged: Snapshot) -> Signers | None:
    """Who may sign what a change brings; None where its base names nobody. Raises Unreadable."""
    allowed = base.find(ALLOWED, MAX_BYTES)
    if allowed is None:
        return None
    lists = dict.fromkeys(tree.find(REVOKED, MAX_BYTES) for tree in (base, judged))
    return Signers(allowed, tuple(content for content in lists if content))


class TrustedKey(NamedTuple):
    """A signer with one key of theirs, and for what and how long it holds. `options` is None where nobody can tell."""

    name: str
    key: bytes
    options: Mapping[str, str] | None
    line: int

    @property
    def words(self) -> str:
        """The signer and the fingerprint of the key, for people."""
        return f"{self.name} ({fingerprint(self.key)})" if self.key else self.name


def trusted(data: bytes) -> Iterator[TrustedKey]:
    """Everybody on a list of signers, with each of their keys."""
    for number, line in enumerate(data.split(b"\n"), 1):
        words = _WORDS.findall(line.strip())
        if not words or words[0].startswith(b"#"):
            continue
        names = [name.decode("utf-8", "backslashreplace") for name in words[0].strip(b'"').split(b",")]
        options = {} if len(words) < 4 or key_in(b" ".join(words[1:3])) else _options(words[1])
        if options is not None:
            options = {**options, _EXCEPT: ",".join(sorted(name for name in names if name.startswith("!")))}
        for name in names:
            if not name.startswith("!"):
                yield TrustedKey(name, key_in(line), options, number)


def _options(text: bytes) -> Mapping[str, str] | None:
    found = {name.decode().lower(): value.decode("utf-8", "replace") for name, value in _OPTIONS.findall(text)}
    return found if found.keys() <= _KNOWN and _OPTIONS.sub(b"", text) == b"" else None


def loosened(path: str, before: bytes, after: bytes) -> Iterator[tuple[int, str]]:
    """What one of the two lists lets through that it did not before: lines, and words for each.

    Raises Unreadable for a list of revoked keys by which nobody could tell of any signature whether it holds.
    """
    if path == REVOKED:
        if before != after and (line := unreadable_line(after)):
            raise Unreadable(path, f"cannot be read: line {line} is not a public key", "ssh-keygen -l -f KEY.pub")
        yield from ((0, words) for words in restored(before, after))
        return
    known = {(one.name, one.key) for one in trusted(before)}
    by_line: dict[int, list[TrustedKey]] = {}
    for one in widened(before, after):
        by_line.setdefault(one.line, []).append(one)
    for line, found in by_line.items():
        more = " for longer, or for more" if all((one.name, one.key) in known for one in found) else ""
        names = clip(", ".join(one.words for one in found), _LONGEST)
        yield line, f"lets {names} sign{more}" if found[0].key else f"names {names}, and no key that can be read"


def widened(before: bytes, after: bytes) -> list[TrustedKey]:
    """Who may sign by a list of signers and could not by another one, or not for as much, or as long."""
    old = list(trusted(before))
    return [one for one in trusted(after) if not any(_includes(other, one) for other in old)]


def _includes(old: TrustedKey, new: TrustedKey) -> bool:
    """Whether an entry already allowed all that another one allows."""
    if old.key != new.key or not covers_pattern(old.name, new.name):
        return False
    if old.options == new.options:
        return True
    if old.options is None or new.options is None:
        return False
    was, now = old.options, new.options
    spaces = _NAMESPACES not in was or set(now.get(_NAMESPACES, "*").split(",")) <= set(was[_NAMESPACES].split(","))
    authority = _AUTHORITY in was or _AUTHORITY not in now
    others = set(was[_EXCEPT].split(",")) <= {"", *now[_EXCEPT].split(",")}
    return spaces and authority and others and _later(was, now) and _earlier(was, now)


def _later(was: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether an entry does not begin to hold before another one did."""
    return _AFTER not in was or (_AFTER in now and _alike(was[_AFTER], now[_AFTER]) and now[_AFTER] >= was[_AFTER])


def _earlier(was: Mapping[str, str], now: Mapping[str, str]) -> bool:
    return _BEFORE not in was or (
        _BEFORE in now and _alike(was[_BEFORE], now[_BEFORE]) and now[_BEFORE] <= was[_BEFORE]
    )


def _alike(one: str, other: str) -> bool:
    """Whether two times are written in the same way, so that their texts compare."""
    return len(one) == len(other) and one[-1:] == other[-1:] if "Z" in one + other else len(one) == len(other)


def restored(before: bytes, after: bytes) -> list[str]:
    """What a list of revoked keys held and another one does not, or that nobody here can tell."""
    if before == after or not before.strip():
        return []
    if before.startswith(_KRL) or after.startswith(_KRL):
        return ["may revoke less: of a list that only ssh-keygen reads, or that took its place"]
    now = {key_in(line) for line in after.split(b"\n")}
    gone = dict.fromkeys(key for line in before.split(b"\n") if (key := key_in(line)) and key not in now)
    return [f"takes back that {fingerprint(key)} is revoked" for key in gone]
