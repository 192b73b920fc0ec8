"""Section titles and first headings in the spellings people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.packets.naming import DocumentName, choices, document_name, normal, spellings
from tests.work import no_hang


@pytest.mark.parametrize(
    "written",
    [
        "Non-Goals",
        "NON-GOALS",
        "Non Goals",
        "Non‑Goals",  # noqa: RUF001 -- a non-breaking hyphen
        "Non–Goals",  # noqa: RUF001 -- an en dash
        "**Non-Goals**",
        "__Non-Goals__:",
        "`Non-Goals`",
        "[Non-Goals](#non-goals)",
        "2. Non-Goals",
        "2.1 Non-Goals",
        "b) Non-Goals",
        "§ 2 Non-Goals",
        "Non-Goals (draft)",
        "Non-Goals (draft) (v2):",
        "Non-Goals ##",
        "Non-Goals <!-- later -->",
        "🚫 Non-Goals",
    ],
)
def test_a_title_is_known_in_every_spelling(written: str) -> None:
    assert normal(written) == "non goals"


@pytest.mark.parametrize(
    "written", ["Surprises & Discoveries", "Surprises and discoveries", "Surprises &amp; Discoveries"]
)
def test_an_ampersand_is_an_and(written: str) -> None:
    assert normal(written) == "surprises and discoveries"


@pytest.mark.parametrize("title", ["2026 Goals", "C Goals", "Goals (all) of ours", "Goals 2"])
def test_what_only_looks_like_a_number_or_suffix_stays(title: str) -> None:
    assert normal(title) != "goals"


def test_a_title_that_is_all_suffix_keeps_it() -> None:
    assert normal("(draft)") == "(draft)"


def test_a_heading_for_two_topics_answers_to_both() -> None:
    assert set(spellings("Scope / Non-Goals")) >= {"scope", "non goals"}


def test_a_configured_section_may_have_several_titles() -> None:
    assert choices("Summary | Overview") == ("Summary", "Overview")


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("PRD — Faster start", "prd"),
        ("PRD - Faster start", "prd"),
        ("PRD: Faster start", "prd"),
        ("Product Requirements Document: Faster start", "prd"),
        ("TECH_SPEC - Faster start", "tech-spec"),
        ("Technical Spec — Faster start", "tech-spec"),
        ("Technical Specification", "tech-spec"),
        ("TECH_SPEC Mirror - Faster start", "tech-spec"),
        ("ACTION PLAN - Faster start", "action-plan"),
        ("**Action Plan**", "action-plan"),
        ("Task Checklist - 0007", "checklist"),
        ("Mini-Spec: Faster start", "mini-spec"),
        ("Checklists considered harmful", ""),
        ("PRD-less work", ""),
        ("Faster start", ""),
    ],
)
def test_a_first_heading_tells_the_kind(written: str, kind: str) -> None:
    assert document_name(written).kind == kind


@pytest.mark.parametrize(
    ("written", "task"),
    [
        ("Task 0939 - Faster start", "0939"),
        ("Task Checklist — 0939-faster-start", "0939"),
        ("PRD: 0939 Faster start", "0939"),
        ("PRD — Faster start by 2026", ""),
        ("20260101-faster", ""),
    ],
)
def test_a_first_heading_tells_the_task(written: str, task: str) -> None:
    assert document_name(written).task_id == task


def test_a_heading_that_names_nothing_keeps_its_words() -> None:
    assert document_name("Faster start") == DocumentName("", "", "faster start")


@pytest.mark.slow
@given(st.text())
def test_any_text_has_a_normal_form(text: str) -> None:
    assert isinstance(normal(text), str)


@pytest.mark.parametrize("unit", ["[", "(", "<!--", "`", "*", "# ", "1.", "a)", "\u2028", "-"])
def test_a_megabyte_of_marks_does_not_keep_us_busy(unit: str) -> None:
    with no_hang():
        normal(unit * (1_000_000 // len(unit)))
        document_name(unit * (1_000_000 // len(unit)))
