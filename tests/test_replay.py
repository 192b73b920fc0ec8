"""Recorded samples as JSON Lines: what is read, and what is wrong with what is not."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from orchgate.errors import OrchgateError
from orchgate.speed.kept import MAX_LINE, read_streams
from orchgate.verdict.values import Pair


def line(stream: str = "s", pair: int = 0, arm: str = "base", order: int = 0, **metrics: Any) -> bytes:
    return json.dumps({"stream": stream, "pair": pair, "arm": arm, "order": order, "metrics": metrics}).encode() + b"\n"


def both(stream: str, pair: int, base: float, head: float) -> list[bytes]:
    return [
        line(stream, pair, "base", 0, cpu_seconds=base),
        line(stream, pair, "head", 1, cpu_seconds=head),
    ]


def test_two_lines_make_a_pair() -> None:
    assert read_streams(both("s", 0, 1.0, 2.0)) == {"s": [Pair({"cpu_seconds": 1.0}, {"cpu_seconds": 2.0})]}


def test_the_order_says_which_ran_first() -> None:
    lines = [line(arm="base", order=1, x=1), line(arm="head", order=0, x=1)]

    assert read_streams(lines)["s"][0].head_first


def test_lines_come_in_any_order() -> None:
    lines = [one for pair in range(5) for stream in ("a", "b") for one in both(stream, pair, pair + 1.0, 9.0)]
    random.Random(1).shuffle(lines)

    streams = read_streams(lines)

    assert [pair.base["cpu_seconds"] for pair in streams["b"]] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_pairs_of_several_machines_say_of_which() -> None:
    lines = [
        one.replace(b'{"stream"', b'{"ran_on": "class/%d", "stream"' % pair)
        for pair in (1, 2)
        for one in both("s", pair, 1.0, 2.0)
    ]

    assert [pair.machine for pair in read_streams(lines)["s"]] == ["class/1", "class/2"]


def test_empty_lines_and_other_keys_are_ignored() -> None:
    lines = [b"\n", *both("s", 0, 1.0, 2.0), b"  \n"]
    lines[1] = lines[1].replace(b'{"stream"', b'{"machine": "m", "stream"')

    assert len(read_streams(lines)["s"]) == 1


def test_numbers_that_are_none_are_left_to_the_comparison_which_names_their_pair() -> None:
    lines = both("s", 0, 1.0, float("nan"))

    assert read_streams(lines)["s"][0].head["cpu_seconds"] != read_streams(lines)["s"][0].head["cpu_seconds"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        pytest.param(b"{", "line 2: not JSON", id="torn"),
        pytest.param(b"\xff\xfe\n", "line 2: not JSON", id="bytes"),
        pytest.param(b"[" * 20_000, "line 2: not JSON", id="deep"),
        pytest.param(b"[1]\n", "line 2: not an object", id="list"),
        pytest.param(b"null\n", "line 2: not an object", id="null"),
        pytest.param(b"{}\n", "line 2: no 'stream'", id="empty"),
        pytest.param(b'{"stream": "s", "pair": 1}\n', "line 2: no 'arm'", id="no arm"),
        pytest.param(line(pair=True), "line 2: 'pair' is bool", id="pair is a truth value"),
        pytest.param(line(pair=1.5), "line 2: 'pair' is float", id="pair is no whole number"),  # type: ignore[arg-type]
        pytest.param(line(arm="tail"), "line 2: 'arm' is 'tail'", id="another arm"),
        pytest.param(line(order=2), "line 2: 'order' is 2", id="third"),
        pytest.param(line(arm="head", order=1, x="3"), "line 2: metric 'x' is str", id="text"),
        pytest.param(line(arm="head", order=1, x=True), "line 2: metric 'x' is bool", id="truth value"),
        pytest.param(line(arm="head", order=1, x=10**400), "line 2: metric 'x' is too large", id="too large"),
        pytest.param(line(x=1), "line 2: base of pair 0 of stream 's' a second time", id="twice"),
        pytest.param(b"x" * (MAX_LINE + 1), "line 2: longer than", id="long"),
        pytest.param(b"", "pair 0 has no head", id="missing arm"),
        pytest.param(line(arm="head", order=0, x=1), "both runs of pair 0 have order 0", id="same order"),
        pytest.param(b'{"ran_on": 1, ' + line(arm="head", order=1)[1:], "line 2: 'ran_on' is int", id="machine"),
        pytest.param(b'{"ran_on": "b", ' + line(arm="head", order=1)[1:], "are of two machines", id="two machines"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(second: bytes, message: str) -> None:
    with pytest.raises(OrchgateError) as raised:
        read_streams([line(x=1), second])

    assert message in raised.value.message


@pytest.mark.parametrize("lines", [[], [b"\n", b"\n"]])
def test_no_samples_are_an_error_and_not_a_pass(lines: list[bytes]) -> None:
    with pytest.raises(OrchgateError, match="no samples"):
        read_streams(lines)
