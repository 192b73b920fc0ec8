from __future__ import annotations

import copy
import json
from functools import lru_cache
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry

from orchgate.lib import files
from orchgate.runs.decode import SCHEMAS, explain, format_of, is_valid
from tests.manifest_samples import january, june, own

SAMPLES = {"orchgate": own, "codex-2026-01": january, "codex-2026-06": june}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "\n", "failed", "2026-01-06T09:26:22Z", "2026-01-06T09:26:22Z\n", "٢٠٢٦-01-06T09:26:22Z", "/x", "a" * 40]
    ),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just({"a": [1]}),
)


def schema(kind: str) -> Any:
    return json.loads(files.read_data("schemas", SCHEMAS[kind]))


@lru_cache
def slow(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(kind), registry=Registry())


@lru_cache
def fast(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema(kind))


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a document with each of its keys or indices."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [spot for _, item in inner for spot in spots(item)]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(SAMPLES)))
    document = SAMPLES[kind]()
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(spots(document)))
        change = draw(st.sampled_from(["set", "drop", "add"]))
        if change == "drop" and isinstance(holder, dict):
            holder.pop(key, None)
        elif change == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=4))] = copy.deepcopy(draw(VALUES))
        else:
            holder[key] = copy.deepcopy(draw(VALUES))
        if not spots(document):
            break
    return kind, document


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_schema_is_a_schema(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(kind))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_no_schema_can_be_fetched_from_a_network(kind: str) -> None:
    assert (schema(kind)["$id"].startswith("urn:orchgate:schema:"), "http" in json.dumps(schema(kind)["$defs"])) == (
        True,
        False,
    )


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_schema_says_what_it_is_about(kind: str) -> None:
    assert len(schema(kind)["description"]) > 100


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_sample_is_valid_for_both_validators(kind: str) -> None:
    sample = SAMPLES[kind]()

    assert (fast(kind).is_valid(sample), slow(kind).is_valid(sample), format_of(sample)) == (True, True, kind)


@pytest.mark.slow
@given(mutated())
def test_both_validators_agree_on_every_mutation(case: tuple[str, dict[str, Any]]) -> None:
    kind, document = case

    assert fast(kind).is_valid(document) == slow(kind).is_valid(document)


@pytest.mark.slow
@given(mutated())
def test_what_is_refused_is_explained_in_few_words(case: tuple[str, dict[str, Any]]) -> None:
    kind, document = case

    if not is_valid(document, kind):
        problem = explain(document, kind)
        assert 0 < len(problem.message) < 400
        assert "cannot be explained" not in problem.message


def test_an_explanation_never_holds_the_instance() -> None:
    document = january(commands={"x" * 100_000: ["y" * 100_000]})

    assert explain(document, "codex-2026-01").message == "expected array, got an object of 1 keys"


@pytest.mark.parametrize("key", ["runtime_mode_requested", "runtime_mode", "runtime_provider", "runtime_fallback"])
def test_each_key_of_june_is_required_in_june(key: str) -> None:
    document = june()
    del document[key]

    assert explain(document, format_of(document)).message == f'"{key}" is missing'


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_required_key_is_missed(kind: str) -> None:
    accepted = []
    for key in schema(kind)["required"]:
        document = SAMPLES[kind]()
        del document[key]
        accepted += [key] if is_valid(document, kind) else []

    assert accepted == []
