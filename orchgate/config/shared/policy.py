"""Where a configuration is looser than those that it extends.

What shared files set, and what silences the rules that it is about, may be made stricter and not looser: a severity, an
exception or a list of what is left out is another way around a limit. Where documents and artifacts are is each
repository's own, unless a shared file says it. What shared files name in `may-loosen` is free.
"""

from __future__ import annotations

from orchgate.config.faults import ConfigFault, as_toml, dotted
from orchgate.config.keys import every
from orchgate.config.load import declared, floor
from orchgate.config.loosening import Loosening, between, sections, shared_keys
from orchgate.config.settings import Top
from orchgate.config.shared.layers import MAY_LOOSEN, SHARED
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.config.loosening import Rules
    from orchgate.config.settings import Config

OWN_RULES = "CFG"  # that say what is looser than what
ENTRIES = ("pipelines", "severity", "ignore")  # tables whose entries may be named in `may-loosen`, too


class Exceeded(NamedTuple):
    """A value that is looser than shared files have it: how, and which files those are."""

    loosening: Loosening
    shared: str

    @property
    def message(self) -> str:
        what = self.loosening.what.replace("looser:", f"looser than {self.shared}:", 1)
        return f"{self.loosening.key} {what}"


def exceeded(config: Config, rules: Rules, allowed: Collection[str] | None = None) -> tuple[Exceeded, ...]:
    """What a configuration has looser than its shared files, and neither they nor `allowed` allow.

    Raises ConfigError.
    """
    least = floor(config.source)
    if least is None:
        return ()
    asked = _Asked(least, rules, least.top.may_loosen if allowed is None else allowed)
    found = (*_profile(config), *between(least, config, rules))
    return tuple(Exceeded(one, asked.names(one)) for one in found if asked.rules_out(one))


def _profile(config: Config) -> Iterator[Loosening]:
    named = [one.table["profile"] for _, one in config.source.shared if "profile" in one.table]
    if named and named[-1] != config.top.profile:
        what = f"may be looser: changed from {as_toml(named[-1])} to {as_toml(config.top.profile)}"
        yield Loosening(("profile",), what, Top._field_defaults["profile"].governs)


class _Asked:
    """What shared files ask for: keys, and the rules, or families of them, that those keys are about."""

    def __init__(self, least: Config, rules: Rules, allowed: Collection[str]) -> None:
        self._least = least
        self._keys = shared_keys(least)
        self._allowed = allowed
        self._rules = {OWN_RULES}
        for name, table, _ in sections(least):
            for path, one in every(table, (name,) if name else ()):
                if dotted(path) in self._keys:
                    self._rules.update(one.governs)
        weighed = {key.partition(".")[2] for key in self._keys if key.startswith("severity.")}
        self._rules.update(
            rule for rule, (check, _) in rules.items() if weighed & {rule, rule.rstrip("0123456789"), check}
        )

    def rules_out(self, one: Loosening) -> bool:
        if any(one.key == name or one.key.startswith((f"{name}.", f"{name}[")) for name in self._allowed):
            return False
        if one.key in self._keys or one.key == "profile":
            return True
        if one.at[0] == "pipelines" or one.moves:
            return False
        return any(rule.startswith(other) or other.startswith(rule) for rule in one.governs for other in self._rules)

    def names(self, one: Loosening) -> str:
        """The shared file that sets a key; all of them, where it silences rules that they ask for."""
        origin = self._least.origins.get(one.key, "")
        if origin.startswith(SHARED):
            return origin.partition(", and ")[0].removeprefix(SHARED)
        return ", ".join(name for name, _ in self._least.source.shared)


def unknown_allowances(config: Config) -> tuple[ConfigFault, ...]:
    """Names in `may-loosen` that are neither a key nor a table: they allow nothing."""
    known = set(ENTRIES)
    for name, table in declared().items():
        known.update(dotted(path[:depth]) for path, _ in every(table, (name,) if name else ()) for depth in (1, 2, 3))
    return tuple(
        ConfigFault((MAY_LOOSEN, index), f"{MAY_LOOSEN}: there is no key {as_toml(name)}")
        for index, name in enumerate(config.top.may_loosen)
        if name not in known and name.partition(".")[0] not in ENTRIES
    )
