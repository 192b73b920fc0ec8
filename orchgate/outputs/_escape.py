"""The one choke point through which untrusted text reaches a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    import re

# Control characters (ESC among them), lone surrogates that stand for undecodable bytes, characters that reorder or
# hide text, and line separators: a file name must not be able to move the cursor or forge a line.
_UNSAFE = lazy(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\n\t\U000e0000-\U000e007f]"
)


def escape(text: str) -> str:
    r"""The text on one line, every unsafe character written out as in Python: `\n`, `\x1b`, `\u202e`."""
    return text if text.isprintable() else _UNSAFE.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match[0]) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
