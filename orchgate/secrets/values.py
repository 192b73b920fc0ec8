"""Whether a text beside a key word is a secret that somebody chose or made, or stands for one: `changeme`, `${TOKEN}`.

All of it is about short texts of known length, in which Python's own expressions cannot get lost.
"""

from __future__ import annotations

import functools
import math

from orchgate.lib.patterns import lazy

LONGEST = 400  # bytes of a value that are looked at
# What is filled in later, or comes from elsewhere: a variable of a shell, a template or a workflow, a tag of YAML, what
# docker build mounts, an ellipsis.
_FILLED_IN = lazy(
    rb"^!(?:vault|secret|env|reference|Ref|Sub|GetAtt|ImportValue|FindInMap|Join|Select|If)$"
    rb"|^(?:type=[a-z]+,)?id=[\w.-]+(?:,(?:src|source|env|target|type)=|$)"
    rb"|^\$|\$[{(]|\$[A-Z_]{3}|%\([A-Za-z_]|%[A-Za-z_]+%|[{#$]\{|\}\}|\*\*|\.\.\.|\xe2\x80\xa6|\xe2\x80\xa2|^[<\[{].*[>\]}]$|&lt;"
)
# Words of which stand-ins are made. What is left without them is what somebody chose.
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


def stands_in(password: bytes) -> bool:
    """Whether a password is none: in an address, `admin123` is one."""
    return len(password) < 3 or bool(_FILLED_IN.search(password)) or len(_left(password)) < 3


def chosen(value: bytes) -> bytes:
    """What is left of a value without the words of which stand-ins are made; b"" when it is one, as `token-123` is."""
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
    """Whether letters alone change between large and small more often than a name in camel case does."""
    turns = sum(
        one.islower() != other.islower() for one, other in zip(value.decode(), value[1:].decode(), strict=False)
    )
    return len(value) >= 16 and turns * 5 >= len(value) * 2 and entropy(value) >= 3.5
