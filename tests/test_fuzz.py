"""Each target of `nox -s fuzz`, with so few inputs that it takes no time: always the same ones."""

from __future__ import annotations

import random
import traceback
from typing import TYPE_CHECKING

import pytest

from fuzz import mutate, worker
from orchgate.evidence import kept_lock
from orchgate.gate import asked
from orchgate.lib import pages
from orchgate.metrics import index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fuzz.targets import Target

INPUTS = 150


def inputs(target: Target) -> Iterator[bytes]:
    """Some of a target's samples, and changed ones."""
    chance = random.Random(20260301)
    seeds = list(target.seeds())
    number = getattr(target, "SMOKE", INPUTS)
    yield from chance.sample(seeds, min(len(seeds), number // 2))
    for _ in range(number // 2):
        yield mutate.changed(chance.choice(seeds), seeds, chance)


@pytest.mark.slow
@pytest.mark.parametrize("name", worker.names())
def test_no_input_gets_past_or_breaks_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = ((asked, "RACY"), (kept_lock, "MANY"), (kept_lock, "PAGE"), (pages, "PAGE"))
    of_index = ((index, limit) for limit in ("LARGE", "MOST_RECENT", "MOST_SMALL", "NEAR"))
    for module, limit in (*limits, *of_index):  # targets have processes of their own, and set them
        monkeypatch.setattr(module, limit, getattr(module, limit))
    target = worker.load(name)
    one = target.prepare(str(tmp_path))
    found = {worker.place(error): (data, error) for data in inputs(target) if (error := worker.fault(one, data))}
    told = [f"{data!r}\n{''.join(traceback.format_exception(error))}" for data, error in found.values()]
    assert not told, "\n".join(told)


@pytest.mark.parametrize("how", mutate.WAYS)
def test_an_input_is_changed_the_same_way_each_time(how: mutate.Way) -> None:
    made = [how(b'{"a": [1, "b"]}\nc', [b"other"], random.Random(number)) for number in (7, 7)]
    assert made[0] == made[1]


def test_what_must_not_be_is_told_by_its_kind_and_place() -> None:
    def one(data: bytes) -> None:
        raise KeyError(data)

    error = worker.fault(one, b"x")
    assert error is not None
    assert worker.place(error).startswith("KeyError at test_fuzz.py:")


def test_seeds_are_tried_as_long_as_there_is_time() -> None:
    seeds = [bytes([number]) for number in range(9)]
    tried: list[bytes] = []
    worker._first(tried.append, seeds, float("inf"), 7)
    assert (sorted(tried), tried != seeds) == (seeds, True)

    tried.clear()
    worker._first(tried.append, seeds, 0.0, 7)
    assert tried == []
