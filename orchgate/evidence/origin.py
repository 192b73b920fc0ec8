"""Where a run was recorded that was brought here from another clone or work tree, in words that hold on any machine."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import GitError, OrchgateError
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "origin.json"  # beside the manifest of the run
VERSION = 1
MAX_BYTES = 64 * 1024
_HARMLESS = " !#$%&'()*+,-./:;=@[]^_{}~\\"
_LONGEST = 300  # characters of an address or a path
_WITH_SCHEME = lazy(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#]*@)?([^/?#]*)([^?#]*)(?:[?#].*)?")
_OF_SCP = lazy(r"(?:[^/:]*@)?([^/:@]{2,}):([^:?#][^?#]*)(?:[?#].*)?")  # one letter before the colon is a drive


class Origin(NamedTuple):
    """`repository` is the address of a remote without credentials, "" for none that others could use.

    `remote` is that remote's name, `path` the manifest's, relative to the work tree it was in.
    """

    repository: str
    remote: str
    path: str

    @property
    def words(self) -> str:
        return self.repository or "a clone without a shared remote"


def of(folder: str, environ: Mapping[str, str]) -> Origin:
    """The origin of the run in a folder, which is absolute and free of links."""
    from orchgate.git.call import scrubbed
    from orchgate.git.state import around

    repository = None
    with contextlib.suppress(GitError):  # somebody else's, or damaged: then the run's own words have to do
        repository = around(folder, scrubbed(environ))
    manifest = os.path.join(folder, "manifest.json")
    if repository is None:
        return Origin("", "", _shown("/".join(manifest.split(os.sep)[-_levels(folder) :])))
    path = os.path.relpath(manifest, os.path.realpath(repository.root))
    refs = repository.refs
    for remote in refs.remotes:
        for url in refs.settings.get(f"remote.{remote}.url", ()):
            if known := address(url):
                return Origin(known, _shown(remote), _shown(path))
    return Origin("", "", _shown(path))


def _levels(folder: str) -> int:
    """How many names of a manifest's path tell: all of `.runs/<task>/cli/<run>/manifest.json`, or the last two."""
    return 5 if os.path.basename(os.path.dirname(folder)) == "cli" else 2


def address(url: str) -> str:
    """A remote's address as anybody may read it: without user, password, query; "" for a place on one machine."""
    if found := _WITH_SCHEME.fullmatch(url.strip()):
        scheme, host, path = found.groups()
        return "" if scheme.lower() == "file" else _shown(f"{scheme}://{host}{path}")
    found = _OF_SCP.fullmatch(url.strip())
    return _shown(f"{found[1]}:{found[2]}") if found else ""


def _shown(text: str) -> str:
    from orchgate.git.state import shown
    from orchgate.secrets.redact import redacted

    return _plain(redacted(shown(text)))


def _plain(text: str) -> str:
    """A text that ends no comment, line or code span of the document that names it."""
    return "".join(char if char.isalnum() or char in _HARMLESS else "?" for char in text[:_LONGEST])


def encode(origin: Origin, run_id: str) -> bytes:
    """The bytes of origin.json."""
    import json

    named = {key: value or None for key, value in origin._asdict().items()}
    document = {"version": VERSION, "run_id": run_id, "origin": named}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def beside(manifest: str) -> Origin | None:
    """The origin that is noted beside a manifest on disk; None for a run that was recorded here, or nobody knows."""
    from orchgate.runs.decode import parse
    from orchgate.runs.locate import read_file

    path = os.path.join(os.path.dirname(manifest), NAME)
    if not os.path.lexists(path):
        return None
    try:
        told: Any = parse(read_file(path, MAX_BYTES)).get("origin")
    except OrchgateError:
        return None
    if not isinstance(told, dict):
        return None
    return Origin(*(_plain(value) if isinstance(value := told.get(key), str) else "" for key in Origin._fields))
