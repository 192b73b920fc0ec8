"""What is at an https address, within bounds of size and time: for `orchgate config update`, and for nothing else.

Proxies are those of the environment, certificates those that Python trusts (`SSL_CERT_FILE` names others). No password
is asked for, sent or printed, and what an answer leads to is https as well.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from orchgate import __version__
from orchgate.config.shared.entries import SECURE
from orchgate.config.shared.layers import MAX_BYTES
from orchgate.errors import OrchgateError
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SECONDS = 30.0  # for all of an answer
PATIENCE = 10.0  # seconds without a byte
MOST_REDIRECTS = 5
_PART = 64 * 1024


class FetchError(OrchgateError):
    """Nothing came from an address, or not all."""

    kind = "fetch"


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTS

    def redirect_request(  # noqa: PLR0917 -- as the library calls it
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        host = urlsplit(newurl).netloc
        if not newurl.startswith(SECURE) or "@" in host:
            fp.close()
            raise FetchError(f"leads to an address that is not {SECURE}, or has a user name in it")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(address: str, *, limit: int = MAX_BYTES, seconds: float = SECONDS) -> bytes:
    """The content of an address. Raises FetchError.

    A thread asks, which is left alone when time is up: names that nobody resolves, and servers that send a byte of
    their headers now and then, keep a program waiting whatever the limit of a socket is.
    """
    found: list[bytes | FetchError] = []
    asking = threading.Thread(target=lambda: found.append(_asked(address, limit, seconds)), daemon=True)
    asking.start()
    asking.join(seconds)
    answer = found[0] if found else FetchError("does not answer in time, or not to the end")
    if isinstance(answer, FetchError):
        raise FetchError(f"{address}: {answer.message}", answer.hint)
    return answer


def _asked(address: str, limit: int, seconds: float) -> bytes | FetchError:
    agent = {"User-Agent": f"orchgate/{__version__}"}
    try:
        request = urllib.request.Request(address, headers=agent)  # noqa: S310 -- of https alone, see `_opener`
        with _opener().open(request, timeout=min(PATIENCE, seconds)) as answer:
            return _read(answer, limit)
    except FetchError as error:
        return error
    except urllib.error.HTTPError as error:
        error.close()
        return FetchError(f"the server answered {error.code}", _hint(error.code))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return FetchError(_why(error), _certificates(error))


def _opener() -> urllib.request.OpenerDirector:
    """Nothing that reads files, speaks unencrypted or answers a question for a password."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _read(answer: Any, limit: int) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise FetchError(f"the answer is encoded as {clip(encoding, 40)}, which nobody asked for")
    content = bytearray()
    while part := answer.read1(_PART):
        content += part
        if len(content) > limit:
            raise FetchError(f"is larger than {limit} bytes")
    expected = answer.headers.get("Content-Length", "")
    if expected.isascii() and expected.isdigit() and int(expected[:20]) != len(content):
        raise FetchError(f"ended after {len(content)} of {int(expected[:20])} bytes")
    return bytes(content)


def _why(error: Exception) -> str:
    """What went wrong, without what a stranger's server said."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "does not answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return clip(f"cannot be reached: {reason.strerror}", 200)
    return f"cannot be read ({type(reason).__name__})"


def _hint(code: int) -> str:
    what = "it has to be readable without a password; or put the file into this repository and name its path"
    return what if code in (401, 403, 404, 407) else ""


def _certificates(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "SSL_CERT_FILE can name a file with the certificates to trust"
    return ""
