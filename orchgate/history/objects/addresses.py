"""Where a store of parts is, as an address says it; nothing of one that holds a password is ever printed."""

from __future__ import annotations

import os

from orchgate.errors import UsageError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

GIT = "git"
FILE = "file"
BUCKETS = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_NAME"}
_SCHEME = lazy(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_BUCKET = lazy(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")
_FOLDER = lazy(r"[A-Za-z0-9_.=+,-][A-Za-z0-9 _.=+,-]{0,254}")
_CREDENTIALS = lazy(r"[^/.].*:/*[^/]*@")  # of what was meant to be a URL, and is none
_TRUE = ("1", "true", "yes", "on", "y", "t")


class StoreAddress(NamedTuple):
    """A folder (`scheme` is file, `path` absolute) or the prefix `path` of a bucket."""

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return self.path if self.scheme == FILE else f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")


def parse(text: str, beside: str) -> StoreAddress | None:
    """None for the reference of a remote. A relative folder is one of the folder `beside`. Raises UsageError."""
    if text == GIT:
        return None
    known = _SCHEME.match(text)
    if known is None:
        return _folder(text, beside)
    scheme, rest = known[1].lower(), text[known.end() :]
    if scheme == FILE:
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise UsageError("file: expected file:///path of a folder on this machine")
        return _folder(f"/{path}", beside)
    if scheme not in BUCKETS:
        kinds = f"{GIT}, a folder, or {', '.join(f'{one}://bucket/prefix' for one in BUCKETS)}"
        raise UsageError(f"{scheme}: stores of this kind are not known", f"runs are kept in {kinds}")
    return _bucket(scheme, rest)


def _folder(text: str, beside: str) -> StoreAddress:
    scheme, colon, _ = text.partition(":")
    if colon and scheme.lower() in BUCKETS:
        raise _none(scheme.lower())
    if "/" not in text and text not in (".", ".."):
        shown = text[:40] if text.isprintable() else "that"
        raise UsageError(f"{shown!r}: there is no such store", f"a folder is written with a slash: ./{shown}")
    if not text.isprintable() or "@" in text.partition("/")[0] or _CREDENTIALS.match(text):
        raise UsageError("the address of the store holds what no folder is called")
    return StoreAddress(FILE, "", os.path.normpath(os.path.join(beside, text)))


def _bucket(scheme: str, rest: str) -> StoreAddress:
    bucket, _, path = rest.partition("/")
    if "@" in rest or "?" in rest or "#" in rest or ":" in bucket:
        raise UsageError(
            f"the address of the {scheme} store holds more than a bucket and a prefix: it was not used",
            f"credentials come from the environment, such as {BUCKETS[scheme]}, and the endpoint, too",
        )
    folders = [one for one in path.split("/") if one]
    if _BUCKET.fullmatch(bucket) is None or any(one in (".", "..") or not _FOLDER.fullmatch(one) for one in folders):
        raise _none(scheme)
    return StoreAddress(scheme, bucket, "/".join(folders))


def _none(scheme: str) -> UsageError:
    return UsageError(
        f"the address of the {scheme} store is none", f"write {scheme}://bucket or {scheme}://bucket/prefix"
    )


def is_true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in _TRUE
