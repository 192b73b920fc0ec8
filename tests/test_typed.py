from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.lib.typed import Enum, NamedTuple, cached_property, contextmanager, suppress

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pair(NamedTuple):
    first: int
    second: int = 2

    @property
    def both(self) -> int:
        return self.first + self.second


class Asked(NamedTuple):
    first: int
    second: int = 2

    @cached_property
    def answers(self) -> list[int]:
        return []


@pytest.mark.parametrize("made", [Pair(1), Pair(1, 2), Pair(1, second=2), Pair(second=2, first=1)])
def test_a_value_is_made_by_place_or_by_name(made: Pair) -> None:
    assert (made.first, made.second, made.both) == (1, 2, 3)
    assert made == (1, 2)
    assert len({made, Pair(1), (1, 2)}) == 1


def test_what_typing_says_of_a_class_is_true() -> None:
    assert (Pair._fields, Pair._field_defaults, Pair.__match_args__) == (
        ("first", "second"),
        {"second": 2},
        Pair._fields,
    )
    assert (repr(Pair(1)), Pair(1)._asdict()) == ("Pair(first=1, second=2)", {"first": 1, "second": 2})
    assert (Pair(1)._replace(second=5), Pair._make([3, 4])) == (Pair(1, 5), Pair(3, 4))


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "missing 1 required positional argument: 'first'"),
        ((1, 2, 3), {}, "takes from 2 to 3 positional arguments but 4 were given"),
        ((1,), {"third": 3}, "unexpected keyword argument 'third'"),
        ((1,), {"first": 1}, "multiple values for argument 'first'"),
        ((), {"second": 1}, "missing 1 required positional argument: 'first'"),
    ],
)
def test_what_does_not_fit_is_refused_as_for_any_function(
    values: tuple[int, ...], named: dict[str, int], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Pair(*values, **named)


def test_nothing_can_be_changed_or_added() -> None:
    pair = Pair(1)

    with pytest.raises(AttributeError):
        pair.first = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        pair.third = 2  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="third"):
        pair._replace(third=3)  # type: ignore[call-arg]


def test_many_are_made_as_the_first_was() -> None:
    """From the thirty-second on by a compiled constructor."""

    class Many(NamedTuple):
        first: int
        second: int = 2

    made = [(Many(number), Many(number, 1), Many(second=5, first=number)) for number in range(40)]

    assert made == [((number, 2), (number, 1), (number, 5)) for number in range(40)]
    with pytest.raises(TypeError, match="missing 1 required"):
        Many()  # type: ignore[call-arg]


def test_a_field_may_be_called_as_anything_in_the_constructor() -> None:
    class Made(NamedTuple):
        cls: int
        new: int = 2

    for number in range(40):
        assert (Made(number), Made(cls=number)) == ((number, 2), (number, 2))


def test_what_a_value_has_worked_out_is_no_part_of_it() -> None:
    asked, other = Asked(1), Asked(1)
    asked.answers.append(1)

    assert (asked == other, asked.answers, asked._replace(first=1).answers) == (True, [1], [])
    assert repr(asked) == "Asked(first=1, second=2)"


def test_a_value_travels_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Pair(1, 5))) == Pair(1, 5)


def test_a_value_has_as_many_fields_as_it_needs() -> None:
    fields = {f"field{number}": "int" for number in range(40)}
    declaration: Any = type(Pair)  # a type of types, which type checkers do not see
    wide = declaration("Wide", (NamedTuple,), {"__annotations__": fields, "__module__": __name__})

    assert wide(*range(40)).field39 == 39


# A closed set


class Answer(Enum):
    YES = "yes"
    NO = "no"

    @property
    def certain(self) -> bool:
        return self is Answer.YES


def test_members_are_the_names_of_their_class() -> None:
    assert (Answer.YES.name, Answer.YES.value, Answer.YES.certain, Answer.NO.certain) == ("YES", "yes", True, False)
    assert (list(Answer), len(Answer)) == ([Answer.YES, Answer.NO], 2)
    assert (str(Answer.NO), repr(Answer.NO)) == ("Answer.NO", "<Answer.NO: 'no'>")


def test_there_is_one_of_each_member() -> None:
    assert Answer("no") is Answer.NO
    assert pickle.loads(pickle.dumps(Answer.NO)) is Answer.NO
    with pytest.raises(ValueError, match="'perhaps' is not a valid Answer"):
        Answer("perhaps")


def test_a_member_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Answer.YES.value = "no"  # type: ignore[misc]


def test_an_error_of_the_named_kinds_ends_a_block_and_no_other_does() -> None:
    with suppress(KeyError, OSError):
        raise FileNotFoundError
    with pytest.raises(ValueError, match="other"), suppress(KeyError, OSError):
        raise ValueError("other")


def test_a_function_becomes_a_context_as_contextlib_makes_it() -> None:
    seen: list[str] = []

    @contextmanager
    def held(name: str) -> Iterator[str]:
        """What it is for."""
        try:
            yield name
        finally:
            seen.append(name)

    with suppress(KeyError), held("one") as given:
        seen.append(f"in {given}")
        raise KeyError

    assert (seen, held.__name__, held.__doc__) == (["in one", "one"], "held", "What it is for.")


def test_what_is_worked_out_once_is_kept_in_its_instance() -> None:
    one, other = Asked(1), Asked(1)

    assert one.answers is one.answers
    assert one.answers is not other.answers
    assert vars(one) == {"answers": []}
    assert one == other
    assert type(vars(Asked)["answers"]).__name__ == "cached_property"
