"""Whether what an expression found is a secret, and from where to where, or a placeholder: `changeme`, `${TOKEN}`.

Each function looks no further than a few hundred bytes around, in which Python's own expressions cannot get lost.
"""

from __future__ import annotations

import binascii
import functools
import math

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    Span = tuple[int, int]


LONGEST = 400  # bytes of a value that are looked at
# What is filled in later, or comes from elsewhere: a variable of a shell, a template or a workflow, a tag of YAML, what
# docker build mounts, an ellipsis.
_FILLED_IN = lazy(
    rb"^!(?:vault|secret|env|reference|Ref|Sub|GetAtt|ImportValue|FindInMap|Join|Select|If)$"
    rb"|^(?:type=[a-z]+,)?id=[\w.-]+(?:,(?:src|source|env|target|type)=|$)"
    rb"|^\$|\$[{(]|\$[A-Z_]{3}|%\([A-Za-z_]|%[A-Za-z_]+%|[{#$]\{|\}\}|\*\*|\.\.\.|\xe2\x80\xa6|\xe2\x80\xa2|^[<\[{].*[>\]}]$|&lt;"
)
# Words that placeholders are made of. What is left without them is what somebody chose.
_STAND_IN = lazy(
    rb"(?i)change|replace|insert|enter|example|sample|dummy|fake|mock|stub|place|holder|default|redacted|masked|hidden"
    rb"|removed|filtered|omitted|censored|scrubbed|secret|passwords?|passwd|passphrase|passwort|tokens?|credentials?|bearer"
    rb"|api|access|auth|private|public|client|app|user|admin|root|guest|your|some|the|with|here|goes|this|that|and|not|for|set"
    rb"|real|string|value|empty|null|none|undefined|nil|true|false|unset|required|optional|missing|invalid|expired|unknown"
    rb"|todo|fixme|tbd|foo|bar|baz|qux|quux|test|testing|local|localhost|host|dev|demo|key|name|pass|pwd|file|path|env|var"
    rb"|before|after|only|long|short|random|super|very|me|my|is|it|in|of|to|no|an?\b|x{2,}"
)
_BETWEEN = lazy(rb"[^A-Za-z0-9]+")
# Code that gets the secret from somewhere: a call, an attribute, an index, a type.
_CODE = lazy(
    rb"^[A-Za-z_][\w.>:-]*\(|\(\)|^[A-Za-z_]\w*(?:(?:\.|->|::|\?\.)[A-Za-z_]\w*)+;?$|\w\[|^(?:new|await|lambda|func)\b"
)
_PATH = lazy(
    rb"^(?:\.{0,2}|~|[A-Za-z]:)[/\\]\S|^[\w.-]+(?:/[\w.@-]+)+\.[A-Za-z]{1,5}$|^[a-z][a-z0-9+.-]*://|^[\w.-]+\.(?:json|ya?ml|txt|pem|py|md|ts|js|log)$"
)
_NUMBER = lazy(rb"^[+-]?[\d.,:_/TZ-]+$")
_DIGIT = lazy(rb"\d")
_MIXED = lazy(rb"[A-Za-z]\d|\d[A-Za-z]")
_NAMES = lazy(rb"[_./A-Z]")
_WORDS = lazy(rb"^_*[A-Za-z]+(?:[-_./]+[A-Za-z]+)*_*$")


def is_filled_in(value: bytes) -> bool:
    """Whether a value is no secret because it is none yet, or not written here."""
    return bool(_FILLED_IN.search(value)) or not chosen(value)


def is_placeholder(password: bytes) -> bool:
    """Whether a password is none: in an address, `admin123` is one."""
    return len(password) < 3 or bool(_FILLED_IN.search(password)) or len(_left(password)) < 3


def chosen(value: bytes) -> bytes:
    """A value without the words that placeholders are made of; b"" for a placeholder, such as `token-123`."""
    left = _left(value)
    letters = _DIGIT.sub(b"", left)
    if len(set(letters.lower())) >= 3:
        return letters
    return left if letters and len(left) >= 5 else b""


def _left(value: bytes) -> bytes:
    return _BETWEEN.sub(b"", _STAND_IN.sub(b"", value))


def entropy(value: bytes) -> float:
    """Shannon's entropy of the bytes of a text, in bits a byte."""
    counts = [value.count(byte) for byte in set(value)]
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


@functools.lru_cache(4096)
def is_secret(value: bytes, *, password: bool, quoted: bool = False) -> bool:
    """Whether a value beside a key word is one. People choose a `password`; other secrets are made by machines."""
    if len(value) < (6 if password else 8):
        return False
    if _NUMBER.match(value):
        return password and value.isdigit() and len(set(value)) > 2
    if is_filled_in(value) or _CODE.search(value) or _PATH.search(value):
        return False
    if _WORDS.match(value):
        return _is_jumble(value) or (password and _is_phrase(value, quoted=quoted))
    if b" " in value and not (password and quoted and _DIGIT.search(value)):
        return False
    if password:
        return len(chosen(value)) >= 3 and entropy(value) >= 2.2
    return bool(_MIXED.search(value)) and len(chosen(value)) >= 5 and entropy(value) >= 2.9


def _is_phrase(value: bytes, *, quoted: bool) -> bool:
    """Whether plain words are a password: in quotes, or joined by hyphens, and more than a name would be."""
    likely = 12 if quoted or value.count(b"-") >= 2 else 20
    return len(chosen(value)) >= likely and not _NAMES.search(value)


def _is_jumble(value: bytes) -> bool:
    """Whether letters alone change case more often than a name in camel case does."""
    turns = sum(
        one.islower() != other.islower() for one, other in zip(value.decode(), value[1:].decode(), strict=False)
    )
    return len(value) >= 16 and turns * 5 >= len(value) * 2 and entropy(value) >= 3.5


WINDOW = 4000  # bytes behind the start of a match that are looked at
_TOKEN = lazy(rb"[A-Za-z0-9_.~+/=-]*")
_PLACEHOLDER = lazy(rb"[xX]{8}|0{12}|(?i:your|placeholder|redacted)|\.{3}")


def token(text: bytes, start: int, end: int) -> Span | None:
    """The whole of a token whose beginning matched; None for `ghp_xxxxxxxx` and the like."""
    start = _end(_ESCAPED, text, start)
    stop = _end(_TOKEN, text, end)
    return None if _PLACEHOLDER.search(text, start, stop) else (start, stop)


def _end(expression: re.Pattern[bytes], text: bytes, start: int) -> int:
    """Where what an expression matches from a place on ends; that place where it matches nothing."""
    found = expression.match(text, start, start + LONGEST)
    return found.end() if found else start


def behind(before: bytes, most: int) -> Callable[[bytes, int, int], Span | None]:
    """Judges a token of which the middle matched: an expression that began with a repeat would be slow everywhere."""
    expression = lazy(before)

    def judge(text: bytes, start: int, end: int) -> Span | None:
        found = expression.search(text, max(0, start - most), start)
        span = token(text, start, end) if found else None
        return (found.start(), span[1]) if found and span else None

    return judge


_ESCAPED = lazy(rb"\\[nrt]|\x1b\[[0-9;]{1,8}m|%[0-9A-F]{2}|[?&;]?")
_KEY_TEXT = lazy(rb"[A-Za-z0-9+/=]{16}")


def private_key(text: bytes, start: int, end: int) -> Span | None:
    """A key's first line, unless it is only spoken of: in quotes, with no key behind it."""
    window = text[end : end + WINDOW]
    if not text.startswith(b"-", start):
        return start, end
    for mark in (b" BLOCK", b"-----", b" ----"):
        window = window.removeprefix(mark)
    foot = window.find(b"-END")
    body = window[: foot if foot >= 0 else 400]
    mentioned = _MENTIONED.match(window)
    if _is_key_line(body) if mentioned else _KEY_TEXT.search(body):
        return start, end + len(text[end : end + WINDOW]) - len(window) + len(body)
    return None if mentioned or foot >= 0 else (start, end)


def _is_key_line(text: bytes) -> bool:
    """Whether a line of a key is in a text that is also about something else: a path or a hash is none."""
    return any(line[0] not in (line[0].lower(), line[0].upper()) for line in _KEY_LINE.finditer(text))


_KEY_LINE = lazy(rb"[A-Za-z0-9+/=]{40}")


_MENTIONED = lazy(rb"[^\S\n]*(?:[`\"'.)\]|,*<\\$\[(]|[A-Za-z])")


def aws_secret(text: bytes, _start: int, end: int) -> Span | None:
    """Forty characters of base64 beside a key word. Forty digits of a hash are not."""
    value = text[end - 40 : end]
    follows = text[end : end + 1]
    mixed = any(map(bytes.islower, _each(value))) and any(map(bytes.isupper, _each(value)))
    return (end - 40, end) if mixed and not (follows.isalnum() or follows in (b"/", b"+", b"=")) else None


def _each(value: bytes) -> list[bytes]:
    return [value[index : index + 1] for index in range(len(value))]


_JWT = lazy(
    rb"eyJ([A-Za-z0-9_-]{7,1000})(?:\\?\r?\n[ \t]*)?\.(?:\\?\r?\n[ \t]*)?"
    rb"eyJ[A-Za-z0-9_-]{4,2000}(?:\.[A-Za-z0-9_-]*)?"
)


def jwt(text: bytes, start: int, end: int) -> Span | None:
    """A JSON web token: its header is the JSON that says how it is signed. One that is not signed opens nothing."""
    found = _JWT.match(text, text.index(b"eyJ", start), end + WINDOW)
    if found is None:
        return None
    header = _decoded(b"eyJ" + found[1])
    signed = b'"alg"' in header and b'"none"' not in header.lower()
    return found.span() if signed else None


def _decoded(value: bytes) -> bytes:
    """What base64 stands for, in either alphabet; b"" for what is none."""
    plain = value.translate(_PLAIN).rstrip(b"=")
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
    except binascii.Error:
        return b""


_PLAIN = bytes.maketrans(b"-_", b"+/")
_AUTHORIZATION = lazy(
    rb"(?i:authorization\\{0,3}[\"']?[ \t]{0,4}[:=,][ \t]{0,4}\\{0,3}[\"']?"
    rb"(?:([a-z_-]{3,12})[ \t]{1,4})?|bearer[ \t+]{1,4})([A-Za-z0-9._~+/=-]{8,2000})"
)


def authorization(text: bytes, start: int, end: int) -> Span | None:
    """What a header authorizes with: a token, or name and password in base64."""
    found = _AUTHORIZATION.match(text, start, end + WINDOW)
    if found is None or found[2].startswith((b"AWS4-", b"eyJ")):  # signed requests; web tokens are another form
        return None
    value = found[2].rstrip(b".")
    if (found[1] or b"").lower() == b"basic":
        return found.span(2) if _pair(_decoded(value)) else None
    return (found.start(2), found.start(2) + len(value)) if is_secret(value, password=False) else None


def _pair(decoded: bytes) -> bool:
    """Whether bytes are a name and a password."""
    name, colon, password = decoded.partition(b":")
    printable = all(32 <= byte < 127 for byte in decoded)
    return bool(colon) and printable and password != name and not is_placeholder(password)


_URL = lazy(rb":(?:\\?/){2}([^\s/:@\"'<>\\]{0,60}):([^\s/\"'<>\\]{3,100})@")


def url_password(text: bytes, start: int, end: int) -> Span | None:
    """The password in an address, unless it is the name again or stands for one."""
    found = _URL.match(text, start, end)
    if (
        found is None
        or not text[max(0, start - 1) : start].isalnum()
        or found[2] == found[1]
        or is_placeholder(found[2])
    ):
        return None
    return found.span(2)


# Beside a key word

_SHORT = r"[\"']pass[\"']|passw(?:or)?d|passwort|passphrase|pwd"
_LONG = (
    r"secret|token|credentials?|api[_. -]?key|connection[_-]?string|[_-]pass|_auth|"
    r"(?:access|auth|secret|private|encrypt(?:ion)?|sign(?:ing)?|master|account|client|service|deploy|storage|shared|admin"
    r"|license|session|app|consumer|webhook|hmac|crypto|jwt|cookie|ssh)[_.-]?key"
)
_SUFFIX = (
    r"(?:[_-]?(?:key|base|value|text|prod|production|staging|dev|test|live|old|new|primary|secondary|\d{1,3})){0,2}"
)
_KEY = rf"(?:(?i:(?:{_SHORT}|{_LONG}){_SUFFIX})|_KEY)"
_SEPARATOR = (
    r"(?:\\{0,3}[\"'\]]{0,2}[ \t]{0,10}(?:=>|:=|[:=>])[ \t]{0,10}(?:[|>][+-]?\r?\n[ \t]{1,20})?"
    r"|[\"'][ \t]{1,4}value="
    r"|\\{0,3}[\"']?(?:,|\r?\n)(?:\\n)?\s{0,24}\\{0,3}[\"']?[vV]alue\\{0,3}[\"']?[ \t]{0,4}[:=][ \t]{0,4})"
)
_LETTER = r"[^\s\"'`<>{}()\[\]*,;\\]"
_VALUE = rf"\\{{0,3}}[ubr]?(?:[\"'`]{_LETTER}[^\"'`<>{{}}\r\n\\]{{5}}|{_LETTER}{{6}})"
KEY_VALUE = (
    rf"{_KEY}{_SEPARATOR}{_VALUE}"
    rf"|(?:--(?:[a-z][a-z0-9-]{{0,20}})?|\b(?:ENV|ARG)[ \t]{{1,3}}[A-Za-z0-9_]{{0,30}})"
    rf"{_KEY}[ \t]{{1,3}}{_VALUE}"
)
KEY_WORDS = ("pass", "pwd", "secret", "token", "credential", "key", "_auth", "string")
_PARTS = lazy(
    (
        rf"(?:--(?:[a-z][a-z0-9-]{{0,20}})?|(?:ENV|ARG)[ \t]{{1,3}}[A-Za-z0-9_]{{0,30}})?(?P<key>{_KEY})"
        rf"(?P<separator>{_SEPARATOR}|[ \t]{{1,3}})(?P<escape>\\{{0,3}})[ubr]?(?P<quote>[\"'`]?)"
    ).encode()
)
_PASSWORD = lazy(rb"(?i)passw|passphrase|pwd|pass[\"']?$")
_NAME = lazy(rb"[A-Za-z0-9_.$-]*$")
_UPPER = lazy(rb"[A-Z][A-Z0-9_]*$")
# Tokens that count words or pages, and keys that name things.
_NO_KEY = lazy(
    rb"(?i)(?:max|min|num|next|prev(?:ious)?|page|continuation|sync|resume|cursor|input|output|prompt|completion|total"
    rb"|stop|eos|bos|pad|unk|mask|special)[_-]?token$"
    rb"|(?:cache|public|primary|foreign|sort|partition|group|index|object|row|map|hash|dict|json|i18n|storage|route|unique"
    rb"|idempotency|dedupe|lookup|config|metric|event|state|query|registry|hot|short)_key$"
)
_OPEN = lazy(rb"[^\s\"'`<>,;&\\()\[\]{}|]*")


def key_value(text: bytes, start: int, end: int) -> Span | None:
    """The value of a name that says it is a secret."""
    found = _PARTS.match(text, start, end)
    if found is None:
        return None
    before = _NAME.search(text, max(0, start - 60), found.start("key"))
    name = (before[0] if before else b"") + found["key"]
    if _NO_KEY.search(name) or (found["key"] == b"_KEY" and not _UPPER.fullmatch(name)):
        return None
    first, quote = found.end(), found["quote"]
    if found["separator"] == b":" and not quote and text[first : first + 1] == b"-":  # ${NAME:-default}
        first += 1
    last = _closed(text, first, found["escape"] + quote) if quote else _end(_OPEN, text, first)
    value = text[first:last]
    password = bool(_PASSWORD.search(found["key"]))
    called = not quote and text[last : last + 1] in (b"(", b"[")
    untagged = found["separator"] == b">" and text[last : last + 2] != b"</"
    if called or untagged or (value.isdigit() and not password):
        return None
    chosen = password or (found["separator"] == b"=" and bool(_UPPER.fullmatch(name)))
    return (first, last) if is_secret(value, password=chosen, quoted=bool(quote)) else None


def _closed(text: bytes, first: int, quote: bytes) -> int:
    """Where a quoted value ends: at its quote, or with its line."""
    limit = min(len(text), first + LONGEST)
    ends = (text.find(mark, first, limit) for mark in (quote, b"\n"))
    return min((place for place in ends if place >= 0), default=limit)


_OPTION = lazy(rf"--?[A-Za-z0-9_-]{{0,40}}{_KEY}".encode())


def is_option(word: bytes) -> bool:
    """Whether a word of a command says that the next one is a secret: `--db-password`."""
    return len(word) <= 60 and bool(_OPTION.fullmatch(word))


def is_value(word: bytes) -> bool:
    """Whether a word behind such an option is one, and neither stands for one nor is the next option."""
    return not word.startswith(b"-") and is_secret(word[:LONGEST], password=True, quoted=True)


LOGIN = (
    r"(?i:\blogin\s{1,4}\S{1,60}\s{1,4}password\s{1,4}\S{3})"
    r"|(?:[ \t\"',]-u|--user|--proxy-user)[ \t=\"',]{0,5}[^\s:\"'$]{1,60}:[^\s\"'$<{]{3}"
    r"|(?i:identified by|password)[ \t]{1,3}'[^'\s]{6}"
    r"|[ \t]-p[ \t]{0,3}[\"']?[^\s\"'$<{-][^\s\"'$<{]{4}"
    r"|\"auth\"[ \t]{0,4}:[ \t]{0,4}\"[A-Za-z0-9+/=]{12}"
)
_LAST = lazy(rb"[^\s:\"'=]*$")


def login(text: bytes, start: int, end: int) -> Span | None:
    """A password as an argument, or as a line of its own: .netrc, curl, SQL, Docker's configuration."""
    name = _LAST.search(text, start, end)
    first = name.start() if name else end
    last = _end(_CLOSED, text, first)
    value = text[first:last]
    if text.startswith(b'"auth"', start):
        return (first, last) if _pair(_decoded(value)) else None
    option = _SHORT_OPTION.match(text, start, end)
    if option:
        asks = _USER if option[1] != b"p" else _ATTACHED if option[2] == b"" else _APART
        if value.isdigit() or not asks.search(_command(text, start)):
            return None
    return None if is_placeholder(value) else (first, last)


def _command(text: bytes, end: int) -> bytes:
    """The command line as far as a place in it, continued lines included."""
    return _CONTINUED.sub(b" ", text[max(0, end - 300) : end]).rpartition(b"\n")[2]


_CONTINUED = lazy(rb"\\\r?\n")
_CLOSED = lazy(rb"[^\s\"'`]*")
_SHORT_OPTION = lazy(rb"[ \t\"',]?--?(p|u|user|proxy-user)([ \t=\"',]*)")
# Programs that take a name and a password, or a password alone, by an option that is something else elsewhere.
_USER = lazy(rb"(?i)curl|https?\b|wget")
_APART = lazy(rb"(?i)\b(?:sshpass|(?:docker|podman|registry|az|oc|skopeo|buildah|crane|nerdctl)[ \t]+login)\b")
_ATTACHED = lazy(rb"(?i)\b(?:sshpass|mysql|mysqldump|mysqladmin|mariadb)\b")
