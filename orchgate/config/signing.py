"""`[signatures]`: who must sign which runs, what is no such thing, and which edits ask for less.

Few repositories have the table, so nothing of this is loaded for the others.
"""

from __future__ import annotations

from orchgate.config.faults import as_toml, clipped, toml
from orchgate.config.kinds import nearest
from orchgate.lib.text import covers_pattern, is_like
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.faults import At, Reading
    from orchgate.config.settings import Signatures

GOVERNS = ("EVD014",)
_NOT_IN_NAMES = frozenset(' ,"#')


def wanted(settings: Signatures, pipeline: str) -> tuple[str, ...]:
    """The roles that must have signed a run of a pipeline, each once."""
    kinds = (kind.rpartition(":") for kind in settings.required)
    return tuple(dict.fromkeys(role for pattern, _, role in kinds if is_like(pipeline, pattern)))


def holds(settings: Signatures, role: str, principal: str) -> bool:
    """Whether a signer has a role."""
    return any(is_like(principal, pattern) for pattern in settings.roles.get(role, ()))


def check(settings: Signatures, reading: Reading) -> None:
    """Adds what is wrong: roles that nobody can have, and kinds of run that name no role."""
    for role, principals in settings.roles.items():
        _role(role, principals, reading)
    for index, kind in enumerate(settings.required):
        _kind(("signatures", "required", index), kind, settings, reading)


def _role(role: str, principals: tuple[str, ...], reading: Reading) -> None:
    at: At = ("signatures", "roles", role)
    if not role.replace("-", "").replace("_", "").isalnum() or not role.isascii():
        reading.expected(at, "a role's name: letters, digits, - and _", role)
    if not principals:
        reading.wrong(at, "expected at least one signer", "a role that nobody has signs nothing")
    for index, one in enumerate(principals):
        odd = not one.isprintable() or not _NOT_IN_NAMES.isdisjoint(one)
        if not one or odd or one.startswith("!"):
            reading.expected((*at, index), "a signer as .orchgate/allowed_signers calls it", one)


def _kind(at: At, kind: str, settings: Signatures, reading: Reading) -> None:
    pipeline, _, role = kind.rpartition(":")
    if not pipeline or not role or not kind.isprintable():
        hint = f'write "*:{kind}" for runs of every pipeline' if kind in settings.roles else ""
        reading.expected(at, 'a pipeline and a role, such as "implementation-gate:ci"', kind, hint)
    elif role not in settings.roles:
        hint = nearest(role, sorted(settings.roles))
        hint = hint or f'[signatures.roles] says who has it: {role} = ["name@example.org"]'
        reading.wrong(at, f"there is no role {as_toml(role)}", hint)


def loosened(base: Signatures, proposed: Signatures) -> Iterator[tuple[At, str]]:
    """Runs that need not be signed any more, and signers that more roles have: only of roles that somebody asks for."""
    gone = tuple(kind for kind in base.required if not any(_stands_for(one, kind) for one in proposed.required))
    if gone:
        yield ("signatures", "required"), f"is looser: drops {_listed(gone)}"
    for role in dict.fromkeys(kind.rpartition(":")[2] for kind in base.required):
        had, has = base.roles.get(role, ()), proposed.roles.get(role, ())
        new = tuple(one for one in has if not any(covers_pattern(pattern, one) for pattern in had))
        if new:
            yield ("signatures", "roles", role), f"is looser: adds {_listed(new)}"


def _listed(items: tuple[str, ...]) -> str:
    return clipped(", ".join(map(toml, items)), 120)


def _stands_for(kind: str, old: str) -> bool:
    """Whether a kind of run with its role asks for all that another one asked for."""
    (pattern, _, role), (asked, _, same) = kind.rpartition(":"), old.rpartition(":")
    return role == same and covers_pattern(pattern, asked)
