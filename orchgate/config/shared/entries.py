"""What the keys `extends` and `may-loosen` hold, which few configurations have."""

from __future__ import annotations

from orchgate.config.faults import INVALID, as_toml
from orchgate.config.kinds import ListOf, Text
from orchgate.config.names import Filled, is_inside
from orchgate.lib.paths import git_name
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orchgate.config.faults import At, Reading

DIGEST = "#sha256="
SECURE = "https://"
LONGEST_SHARED = 1000  # characters of where a shared file is
MOST_SHARED = 8
_HEX = frozenset("0123456789abcdef")


class SharedFile(NamedTuple):
    """An entry of `extends`: a path in this repository or an address, and the SHA-256 of what is there, "" for none."""

    place: str
    sha256: str

    @property
    def is_address(self) -> bool:
        return ":" in self.place.partition("/")[0]

    def fault(self) -> tuple[str, str]:
        """What is wrong with it, and what to do; "" for nothing."""
        found = self.fault_of_place()
        return found if found[0] else self._digest_fault()

    def fault_of_place(self) -> tuple[str, str]:
        """As `fault`, whether it is pinned or not. An address with a password in it is not repeated."""
        place = self.place
        if not place.isprintable() or not place or len(place) > LONGEST_SHARED or "#" in place:
            return f"expected a path or an https address of at most {LONGEST_SHARED} characters", ""
        if self.is_address:
            host = place.removeprefix(SECURE).partition("/")[0].partition("?")[0]
            if "@" in host:
                return "an address with a user name or a password in it", "whoever reads this file would know them"
            if not place.startswith(SECURE) or not host or " " in place or not place.isascii():
                return f"expected a path in this repository or an address that starts with {SECURE}", ""
        elif not is_inside(place) or place.startswith(("~", "./")) or "\\" in place or git_name(place):
            return f"expected a path inside the repository, got {as_toml(place)}", ""
        elif not place.endswith(".toml"):  # a change of it is one of the configuration: no code is to pass for that
            return f"expected the path of a .toml file, got {as_toml(place)}", ""
        return "", ""

    def _digest_fault(self) -> tuple[str, str]:
        if not self.sha256:
            return f"is not pinned: expected {DIGEST}… after the name", "orchgate config update --accept"
        if len(self.sha256) != 64 or not _HEX.issuperset(self.sha256):
            return f"expected 64 digits of 0-9 and a-f after {DIGEST}, got {as_toml(self.sha256, 70)}", ""
        return "", ""


def shared_file(text: str) -> SharedFile:
    """An entry of `extends`, as it is written."""
    place, mark, digest = text.partition(DIGEST)
    return SharedFile(place, digest if mark else "")


class SharedFiles:
    """The configurations that one starts from, the weaker ones first."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        entries = ListOf(Text()).read(value, at, reading)
        if not isinstance(entries, tuple):
            return INVALID
        if len(entries) > MOST_SHARED:
            return reading.wrong(at, f"expected at most {MOST_SHARED} shared configurations, got {len(entries)}")
        seen: set[str] = set()
        for index, one in enumerate(map(shared_file, entries)):
            fault, hint = one.fault()
            if fault:
                reading.wrong((*at, index), fault, hint)
            elif not seen.isdisjoint(one):
                reading.wrong((*at, index), "names the same file, or the same content, as an entry before it")
            seen.update(one)
        return entries

    def schema(self) -> dict[str, object]:
        inside = "^(?!/)(?!(.*/)?\\.{1,2}/)[^#:]+\\.toml#sha256=[0-9a-f]{64}$"
        items = {
            "type": "string",
            "anyOf": [{"pattern": f"^{SECURE}[^#@]+{DIGEST}[0-9a-f]{{64}}$"}, {"pattern": inside}],
        }
        return {"type": "array", "maxItems": MOST_SHARED, "items": items}


class KeyNames:
    """Keys, or tables, by their dotted names."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        return ListOf(Filled("the dotted name of a key", a_name=True)).read(value, at, reading)

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": {"type": "string", "pattern": "\\S"}}
