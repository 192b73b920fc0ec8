"""Parts in a bucket of S3, GCS or Azure, by obstore. Credentials and endpoints come from the environment alone."""

from __future__ import annotations

from datetime import timedelta

from orchgate.errors import OrchgateError, UsageError
from orchgate.history.objects.addresses import BUCKETS, is_true
from orchgate.history.objects.shape import Listed, PartFault, ReadOnlyStore, VanishedPart
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from orchgate.history.objects.addresses import StoreAddress

CONNECT_SECONDS = 10
SILENT_SECONDS = 60.0  # that a request may take, by default
_LISTED = 1_000  # names of one answer
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LOOPBACK = lazy(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/?")
_STATUS = lazy(r"status code: (\d{3})")
_CODE = lazy(r"<Code>([A-Za-z]{1,60})</Code>")
_MISSING = ("NoSuchBucket", "ContainerNotFound")


class BucketObjects:
    def __init__(self, address: StoreAddress, seconds: float | None, environ: Mapping[str, str]) -> None:
        self.where = str(address)
        self._scheme = address.scheme
        try:
            self._store = _opened(address, seconds or SILENT_SECONDS, environ)
        except OrchgateError:
            raise
        except Exception as error:  # noqa: BLE001 -- obstore has no name of its own for most faults
            raise self._failed(error) from None

    def require(self) -> None:
        """Whether it is there, the first listing says."""

    def folders(self, prefix: str) -> list[str]:
        import obstore

        try:
            return sorted(f"{one}/" for one in obstore.list_with_delimiter(self._store, prefix)["common_prefixes"])
        except Exception as error:  # noqa: BLE001 -- obstore's exceptions have no name of their own for most faults
            raise self._failed(error) from None

    def walk(self, prefix: str) -> Iterator[Listed]:
        import obstore

        try:
            for chunk in obstore.list(self._store, prefix, chunk_size=_LISTED):
                yield from (Listed(one["path"], one["size"], one["last_modified"].timestamp()) for one in chunk)
        except Exception as error:  # noqa: BLE001 -- as above
            raise self._failed(error) from None

    def get(self, name: str, limit: int) -> bytes:
        import obstore

        try:
            found = obstore.get(self._store, name)
            if found.meta["size"] > limit:
                raise PartFault("is too large to be read")
            return bytes(found.bytes())
        except FileNotFoundError:
            raise VanishedPart from None
        except PartFault:
            raise
        except Exception as error:  # noqa: BLE001 -- as above
            raise self._failed(error) from None

    def create(self, name: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotSupportedError

        try:
            obstore.put(self._store, name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except NotSupportedError:
            raise ReadOnlyStore(*self._unconditional()) from None
        except Exception as error:  # noqa: BLE001 -- as above
            if _status(error) in ("501", "405"):
                raise ReadOnlyStore(*self._unconditional()) from None
            raise self._failed(error, ReadOnlyStore) from None
        return True

    def _unconditional(self) -> tuple[str, str]:
        return (
            f"{self.where} cannot create an object only where there is none (If-None-Match), which parts rest on",
            "take a bucket of S3, GCS or Azure, a recent MinIO, or a folder",
        )

    def replace(self, name: str, content: bytes) -> None:
        import obstore

        try:
            obstore.put(self._store, name, content, use_multipart=False)
        except Exception as error:  # noqa: BLE001 -- as above
            raise self._failed(error, ReadOnlyStore) from None

    def delete(self, name: str) -> None:
        import obstore

        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 -- as above
            raise self._failed(error, ReadOnlyStore) from None

    def _failed(self, error: Exception, kind: type[OrchgateError] = OrchgateError) -> OrchgateError:
        """What happened, in words of ours: those of obstore hold addresses, which may hold a signature."""
        from obstore import exceptions

        said = str(error)
        credentials = f"credentials come from the environment, such as {BUCKETS[self._scheme]}"
        denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if denied or _status(error) in ("401", "403"):
            return kind(f"{self.where}: permission denied", credentials)
        code = _CODE.search(said)
        if code and code[1] in _MISSING:
            return kind(f"{self.where}: there is no such bucket")
        if status := _status(error):
            also = f" ({code[1]})" if code else ""
            return kind(f"{self.where}: the server answered with status {status}{also}")
        if "Account must be specified" in said or "MissingAccount" in said:
            return kind(f"{self.where}: no account is named", credentials)
        if "credential" in said.lower() or "169.254.169.254" in said or "metadata.google" in said:
            return kind(f"{self.where}: no credentials were found", credentials)
        if "HTTP error" in said or "timed out" in said:
            return kind(f"{self.where} was not reached", "check the network, and the endpoint if you set one")
        return kind(f"{self.where}: the store cannot be used ({type(error).__name__})", credentials)


def _status(error: Exception) -> str:
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def _opened(address: StoreAddress, seconds: float, environ: Mapping[str, str]) -> ObjectStore:
    from obstore import store

    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, seconds)),
        "timeout": timedelta(seconds=seconds),
    }
    retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=seconds)}
    known: dict[str, Any] = {"retry_config": retries, "prefix": address.path or None}
    if address.scheme == "s3":
        if _may_be_plain(environ):
            client["allow_http"] = True
        return store.S3Store(address.bucket, client_options=client, **known)
    if address.scheme == "gs":
        return store.GCSStore(address.bucket, client_options=client, **known)
    return store.AzureStore(address.bucket, client_options=client, **known)


def _may_be_plain(environ: Mapping[str, str]) -> bool:
    """Whether the endpoint is one without TLS that may be. Raises UsageError for one that may not."""
    for name in _ENDPOINTS:
        endpoint = environ.get(name, "")
        if "@" in endpoint:
            raise UsageError(
                f"{name} holds a name or a password: it was not used", "credentials are variables of their own"
            )
        if endpoint.lower().startswith("http://") and not _LOOPBACK.fullmatch(endpoint):
            if not is_true(environ, "AWS_ALLOW_HTTP"):
                hint = "use https://, or set AWS_ALLOW_HTTP=true where nobody can listen"
                raise UsageError(f"{name} is without TLS, and not on this machine", hint)
            return True
        if endpoint.lower().startswith("http://"):
            return True
    return False
