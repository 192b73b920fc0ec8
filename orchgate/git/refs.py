"""What a repository knows of the other side: remotes, their branches and HEADs, and the commands that bring more."""

from __future__ import annotations

import os
import re
import shlex

from orchgate.git.call import failed
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.call import Git


LOCAL, TRACKING = "refs/heads/", "refs/remotes/"
# What an ordinary clone fetches. A narrower refspec (`clone --single-branch`) never brings another branch by itself.
EVERY_BRANCH = "refs/heads/*"
_SETTINGS = r"^(remote\..*\.(url|pushurl|fetch)|branch\..*\.remote|init\.defaultbranch)$"


class Refs(NamedTuple):
    """Branches and remotes, read once.

    local     commit ids by branch
    tracking  commit ids by remote and branch; a remote's HEAD is not among them
    heads     the branch that a remote's HEAD names, by remote
    settings  values of git's configuration by key, as far as remotes and branches go
    shallow   whether history is cut off here
    """

    local: Mapping[str, str]
    tracking: Mapping[str, Mapping[str, str]]
    heads: Mapping[str, str]
    settings: Mapping[str, tuple[str, ...]]
    shallow: bool

    @property
    def remotes(self) -> tuple[str, ...]:
        """Names of the remotes: origin first, then by name. Without any, those that tracking refs were left by."""
        configured = _remotes_of(self.settings)
        return tuple(sorted(configured or self.tracking, key=lambda name: (name != "origin", name)))

    def remote_of(self, branch: str) -> str:
        """The remote that a branch is set up to follow; "" when it is none that exists."""
        named = self.settings.get(f"branch.{branch}.remote", ("",))[-1]
        return named if named in self.remotes else ""

    def named(self, remote: str) -> str:
        """The name of a remote given by name or address, "" when no remote has it."""
        if remote in self.remotes:
            return remote
        return next((name for name in self.remotes if remote in self._addresses(name)), "")

    def twins(self, remote: str) -> tuple[str, ...]:
        """The remote and every other one with the same address."""
        own = self._addresses(remote)
        return (remote, *(name for name in self.remotes if name != remote and own & self._addresses(name)))

    def _addresses(self, remote: str) -> set[str]:
        return {url for key in ("url", "pushurl") for url in self.settings.get(f"remote.{remote}.{key}", ())}

    def address(self) -> str:
        """The first remote's address for everybody: without credentials, "" for a folder of this machine."""
        remote = next(iter(self.remotes), "")
        return public(next(iter(self.settings.get(f"remote.{remote}.url", ())), ""))

    def is_narrow(self, remote: str) -> bool:
        """Whether fetching from the remote leaves branches out."""
        specs = self.settings.get(f"remote.{remote}.fetch", ())
        return bool(specs) and not any(spec.lstrip("+").startswith(EVERY_BRANCH + ":") for spec in specs)

    def proposals(self, remote: str, tip: str | None) -> Iterator[str]:
        """Tracking refs that are no branches of the remote, such as fetched pull requests, with this commit."""
        for spec in self.settings.get(f"remote.{remote}.fetch", ()):
            source, _, target = spec.lstrip("+").partition(":")
            if source.startswith(LOCAL) or not target.startswith(TRACKING):
                continue
            names = self.tracking.get(remote, {}).items()
            refs = (f"{TRACKING}{remote}/{name}" for name, oid in names if oid == tip)
            yield from (ref for ref in refs if ref.startswith(target.rstrip("*")))

    def bring(self, remote: str, branch: str = "") -> str:
        """The command that brings a branch of a remote here, or all of them with the remote's HEAD."""
        if not remote:
            return "git remote add origin ADDRESS && git fetch origin && git remote set-head origin --auto"
        fetch = "git fetch --unshallow" if self.shallow else "git fetch"
        if branch:
            return f"{fetch} {shlex.join([remote, f'{branch}:{TRACKING}{remote}/{branch}'])}"
        every = shlex.join([remote, f"+{EVERY_BRANCH}:{TRACKING}{remote}/*"])
        return f"{fetch} {every} && git remote set-head {shlex.quote(remote)} --auto"

    def bring_commit(self, remote: str, commit: str) -> str:
        """The command that brings one commit here."""
        fetch = "git fetch --unshallow" if self.shallow else "git fetch"
        return f"{fetch} {shlex.quote(remote)} {commit}" if remote else "git fsck"

    def bring_revision(self, revision: str) -> str:
        """The command that most likely brings what a revision names."""
        name = revision.removeprefix(TRACKING)
        remote = next((one for one in _longest_first(self.remotes) if name.startswith(one + "/")), "")
        if remote and re.fullmatch(r"[\w./#+@%-]+", name):
            return self.bring(remote, name.removeprefix(remote + "/"))
        first = next(iter(self.remotes), "")
        if first and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision):
            return self.bring_commit(first, revision)
        return self.bring(first)


def read(git: Git, *, shallow: bool) -> Refs:
    """The refs and remotes of a repository. Raises GitError."""
    settings = _settings(git)
    prefixes = [(name, f"{TRACKING}{name}/") for name in _longest_first(_remotes_of(settings))]
    local: dict[str, str] = {}
    tracking: dict[str, dict[str, str]] = {}
    heads: dict[str, str] = {}
    for ref, oid, target in _listed(git):
        if ref.startswith(LOCAL):
            local[ref.removeprefix(LOCAL)] = oid
            continue
        remote, branch = _split(ref, prefixes)
        if not target:
            tracking.setdefault(remote, {})[branch] = oid
        elif branch == "HEAD":
            heads[remote] = target.removeprefix(f"{TRACKING}{remote}/")
    return Refs(local, tracking, heads, settings, shallow)


def _settings(git: Git) -> dict[str, tuple[str, ...]]:
    completed = git.attempt("config", "-z", "--get-regexp", _SETTINGS)
    if completed.code not in (0, 1):  # 1: there are none
        raise failed(("config",), completed.stderr)
    found: dict[str, tuple[str, ...]] = {}
    for record in os.fsdecode(completed.stdout).split("\0"):
        key, _, value = record.partition("\n")
        if key:
            found[key] = (*found.get(key, ()), value)
    return found


def public(address: str) -> str:
    """An address as a URI without user, password and query; "" for a folder of this machine."""
    from urllib.parse import quote

    scheme, separator, rest = address.partition("://")
    if not separator:
        host, colon, path = address.partition(":")
        if not colon or "/" in host or path[:1] in ("", ":"):
            return ""
        scheme, rest = "ssh", f"{host}/{path.lstrip('/')}"  # git@host:path
    rest = re.split(r"[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if "@" in path:  # the end of a password that has a slash in it, for all we know
        return ""
    if scheme.lower() not in {"http", "https", "ssh", "git"} or not re.fullmatch(r"[\w.:\[\]-]+", host, re.ASCII):
        return ""
    return f"{scheme.lower()}://{host}{slash}{quote(path, safe='/%~', errors='surrogateescape')}"


def repository_name(address: str) -> str:
    """What a repository is called by the end of its address, such as owner/name; of a folder only its own name."""
    from urllib.parse import unquote, urlsplit

    path = unquote(urlsplit(public(address)).path)
    parts = [part for part in (path or address).split("/") if part not in ("", ".git")]
    return "/".join(parts[-2:] if path else parts[-1:]).removesuffix(".git")


def _remotes_of(settings: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {key.split(".", 1)[1].rpartition(".")[0] for key in settings if key.startswith("remote.")}


def _longest_first(names: set[str] | tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: (-len(name), name))


def _listed(git: Git) -> Iterator[tuple[str, str, str]]:
    """Name, object and target (of a symbolic ref) of every local and tracking branch."""
    shape = "--format=%(refname)%00%(objectname)%00%(symref)"
    for line in os.fsdecode(git("for-each-ref", shape, LOCAL, TRACKING)).split("\n"):
        if line:
            ref, oid, target = line.split("\0")
            yield ref, oid, target


def _split(ref: str, prefixes: list[tuple[str, str]]) -> tuple[str, str]:
    """The remote and the branch of a tracking ref; a name of several parts is a remote's only if it is configured."""
    for remote, prefix in prefixes:
        if ref.startswith(prefix):
            return remote, ref.removeprefix(prefix)
    remote, _, branch = ref.removeprefix(TRACKING).partition("/")
    return remote, branch
