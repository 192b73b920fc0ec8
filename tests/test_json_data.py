from __future__ import annotations

import json

import pytest

from orchgate.lib import json_data
from orchgate.lib.json_data import DEEPEST


@pytest.mark.parametrize(
    "deep", [b"[" * 600 + b"]" * 600, b'{"a":' * 600 + b"1" + b"}" * 600, b"[" * 600, b"[" * 50_000]
)
def test_depth_is_refused_in_every_version_of_python(deep: bytes) -> None:
    with pytest.raises(json_data.TooDeepError):
        json_data.parse(deep)


@pytest.mark.parametrize("text", ["[" * DEEPEST + "]" * DEEPEST, '["' + "[" * 600 + '"]', "[[], []]"])
def test_what_is_not_too_deep_is_read(text: str) -> None:
    assert json_data.parse(text) == json.loads(text)


def test_what_is_no_json_at_all_is_not_called_deep() -> None:
    with pytest.raises(json.JSONDecodeError):
        json_data.parse("{" * 10)
