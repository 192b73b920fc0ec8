"""Charts: whatever they are given they are XML, say what they leave out, and can be read without color."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from math import dist, inf, nan
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.charts import distribution, intervals, numbers, svg, trend, waterfall
from orchgate.charts.shapes import (
    Band,
    ChangeInterval,
    ChangeMark,
    Distribution,
    Intervals,
    Point,
    StageBar,
    State,
    Strips,
    TimeSpan,
    Tone,
    Trend,
    Unit,
    Waterfall,
    unit_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

KIB = 1024
HOSTILE = ("</title></svg><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "&amp;")
ELEMENTS = {"svg", "title", "desc", "a", "g", "path", "circle", "line", "rect", "text", "tspan"}
ATTRIBUTES = {"class", "role", "id", "aria-labelledby", "href", "viewBox", "preserveAspectRatio", "width", "height"} | {
    *("x", "y", "dx", "x1", "x2", "y1", "y2", "cx", "cy", "d", "stroke-width")
}

texts = st.one_of(st.text(st.characters(), max_size=12), st.sampled_from(HOSTILE))
floats = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, nan, inf, -inf]))
states = st.sampled_from(list(State))
tones = st.sampled_from(list(Tone))
units = st.sampled_from(list(Unit))
bands = st.one_of(st.none(), st.builds(Band, floats, floats, floats, texts))
points = st.builds(Point, floats, texts, texts, states, floats)
spans = st.builds(TimeSpan, floats, floats, states)
charts = st.one_of(
    st.builds(
        Trend,
        texts,
        texts,
        units,
        st.lists(points, max_size=8),
        bands,
        st.lists(st.builds(ChangeMark, st.integers(-2, 9), texts, texts), max_size=3),
        st.booleans(),
    ),
    st.builds(
        Waterfall,
        texts,
        texts,
        st.lists(st.builds(StageBar, texts, states, floats, st.lists(spans, max_size=3), texts, texts), max_size=4),
        floats,
    ),
    st.builds(
        Intervals,
        texts,
        texts,
        st.lists(
            st.builds(
                ChangeInterval, texts, floats, floats, floats, floats, texts, texts, texts, tones, texts, st.booleans()
            ),
            max_size=4,
        ),
    ),
    st.builds(
        Distribution,
        texts,
        texts,
        units,
        st.lists(floats, max_size=9),
        st.lists(floats, max_size=9),
        st.tuples(texts, texts),
        st.booleans(),
        tones,
    ),
)
Chart = Trend | Waterfall | Intervals | Distribution
MODULES = {Trend: trend, Waterfall: waterfall, Intervals: intervals, Distribution: distribution}


def drawn(chart: Chart | Strips) -> str:
    return str(trend.strips(chart) if isinstance(chart, Strips) else MODULES[type(chart)].svg(chart))


def runs(values: Sequence[float | None], state: State = State.SUCCEEDED) -> list[Point]:
    return [Point(value, f"r{nth}", f"#r{nth}", state) for nth, value in enumerate(values)]


def seconds(values: Sequence[float | None], **more: object) -> Trend:
    return Trend("t", "CPU time", Unit.SECONDS, runs(values))._replace(**more)  # type: ignore[arg-type]  # by name


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def described(text: str) -> str:
    return parsed(text).findtext("desc") or ""


# Any input


@pytest.mark.slow
@given(st.one_of(charts, st.builds(Strips, texts, texts, st.lists(points, max_size=4))))
def test_whatever_it_is_given_a_chart_is_xml_with_nothing_but_what_charts_have(chart: Chart | Strips) -> None:
    root = parsed(drawn(chart))
    attributes = {name for element in root.iter() for name in element.attrib}

    assert {element.tag for element in root.iter()} <= ELEMENTS
    assert attributes <= ATTRIBUTES
    assert all(element.attrib["href"].startswith(("#", "http")) for element in root.iter("a"))
    drawn(chart).encode()


@pytest.mark.slow
@given(charts)
def test_no_place_of_a_chart_is_no_number(chart: Chart) -> None:
    placed = [
        value for element in parsed(drawn(chart)).iter() for name, value in element.attrib.items() if name in "xyd"
    ]

    assert not re.search("nan|inf|e[+-]?[0-9]", " ".join(placed))


@pytest.mark.slow
@given(charts.filter(lambda chart: not isinstance(chart, Trend)))
def test_a_table_has_a_cell_for_each_column_and_a_link_for_each_row(chart: Chart) -> None:
    table = MODULES[type(chart)].table(chart)

    assert {len(row) for row in table.rows} <= {len(table.header)}
    assert len(table.links) == len(table.rows)


@pytest.mark.slow
@given(texts, texts)
def test_different_ids_stay_different_and_have_no_spaces(one: str, other: str) -> None:
    ids = {svg.identifier(one), svg.identifier(other)}

    assert len(ids) == len({one, other})
    assert all(re.fullmatch(r"[\w-]+", each, re.ASCII) for each in ids)


@pytest.mark.slow
@given(st.lists(floats, max_size=5), units, st.booleans())
def test_an_axis_shows_all_its_values_and_a_few_numbers(drawn_from: list[float | None], unit: Unit, zero: bool) -> None:
    values = numbers.known(drawn_from)
    scale = numbers.scale_of(values, zero=zero)
    ticks = numbers.ticks(scale, unit)

    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    assert len(ticks) <= 6
    assert all(scale.low <= tick.value <= scale.high for tick in ticks)


# Words and numbers


@pytest.mark.parametrize(
    ("scale", "unit", "labels"),
    [
        (numbers.AxisScale(0, 10), Unit.SECONDS, ["0 s", "5 s", "10 s"]),
        (numbers.AxisScale(0, 0.004), Unit.SECONDS, ["0 ms", "1 ms", "2 ms", "3 ms", "4 ms"]),
        (numbers.AxisScale(0.9, 1), Unit.RATE, ["90 %", "95 %", "100 %"]),
        (numbers.AxisScale(0, 3), Unit.COUNT, ["0", "1", "2", "3"]),
        (numbers.AxisScale(0, 4 << 30), Unit.BYTES, ["0 GiB", "1 GiB", "2 GiB", "3 GiB", "4 GiB"]),
        (numbers.AxisScale(-2, 2), Unit.COUNT, ["\u22122", "\u22121", "0", "1", "2"]),
        (numbers.AxisScale(0.02, 200, logarithmic=True), Unit.SECONDS, ["100 ms", "1 s", "10 s", "100 s"]),
    ],
)
def test_an_axis_has_round_numbers_in_one_unit(scale: numbers.AxisScale, unit: Unit, labels: list[str]) -> None:
    assert [tick.label for tick in numbers.ticks(scale, unit)] == labels


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        (Unit.SECONDS, 0.0123, "12.3 ms"),
        (Unit.BYTES, 1 << 30, "1.0 GiB"),
        (Unit.RATE, 0.97, "97.0 %"),
        (Unit.COUNT, 1204, "1,204"),
        (Unit.SECONDS, 1e300, "1e+300 s"),
        (Unit.COUNT, nan, "-"),
        (Unit.SECONDS, None, "-"),
    ],
)
def test_a_value_has_its_unit(unit: Unit, value: float | None, words: str) -> None:
    assert numbers.amount(unit, value) == words


def test_the_unit_of_a_metric_is_its_suffix() -> None:
    named = ("cpu_seconds", "max_rss_bytes", "success_rate", "processes")

    assert [unit_of(name) for name in named] == [Unit.SECONDS, Unit.BYTES, Unit.RATE, Unit.COUNT]


def test_text_without_a_place_in_xml_is_written_out() -> None:
    assert svg.escape("a\x1b\x00\udc80\ud800\u202e<\n>") == "a\\x1b\\x00\\x80\\ud800\\u202e&lt; &gt;"


# A trend


def test_a_chart_with_links_is_a_group_and_one_without_is_an_image() -> None:
    linked = Waterfall("w", "run", [StageBar("a", State.SUCCEEDED, 0.0, link="#a")])
    roles = [parsed(drawn(one)).attrib["role"] for one in (linked, seconds([], points=[Point(1.0, "r")]))]

    assert roles == ["group", "img"]


def test_a_strip_leads_from_all_charts_to_each_run() -> None:
    root = parsed(drawn(Strips("s", "Runs", [*runs([1.0, 2.0]), Point(3.0, "r2")])))
    links = [element for element in root.iter() if element.tag.endswith("a")]

    assert [(one.attrib["href"], one[0].text) for one in links] == [("#r0", "r0"), ("#r1", "r1")]
    assert (root.attrib["role"], next(element.text for element in root.iter() if element.tag.endswith("title"))) == (
        "group",
        "Runs",
    )
    assert len(re.findall('d="M[0-9.]+ 0V1"', ElementTree.tostring(root, encoding="unicode"))) == 3


def test_the_title_and_the_description_name_a_chart() -> None:
    root = parsed(drawn(seconds([1.0, 2.0])))
    named = {element.attrib["id"]: element.text for element in root.iter() if "id" in element.attrib}

    assert next(named[one] for one in root.attrib["aria-labelledby"].split()) == "CPU time"
    assert "2 runs, oldest first: newest value 2.000 s, lowest 1.000 s" in described(drawn(seconds([1.0, 2.0])))


def test_each_place_of_a_path_is_said_from_the_one_before() -> None:
    assert svg.dots([(0.1, 10.0), (0.2, 4.6), (0.3, 4.6)]).steps == "M100 10h0m100-5h0m100 0h0"
    assert svg.lines([[(0.1, 10.0), (0.2, 4.6)], [(0.3, 0.0), (0.4, 1.0)]]).steps == "M100 10l100-5M300 0l100 1"


def test_a_run_without_a_value_breaks_the_line() -> None:
    (whole,) = re.findall('class="line" d="([^"]*)"', drawn(seconds([1.0, 2.0, 3.0, 2.0])))
    (broken,) = re.findall('class="line" d="([^"]*)"', drawn(seconds([1.0, 2.0, nan, 3.0, 2.0])))

    assert (whole.count("M"), broken.count("M")) == (1, 2)


def test_a_failed_run_is_a_cross_that_does_not_stretch_the_axis() -> None:
    chart = seconds([], points=[*runs([10.0, 10.1, 10.2]), *runs([0.1], State.FAILED)])

    assert '<svg x="98.8%" y="116" class="failed"><path' in drawn(chart)
    assert described(drawn(chart)).endswith("1 failed; axis not from 0; 1 run beyond the axis, at its edge.")


def test_a_failed_run_without_a_value_is_seen() -> None:
    assert 'class="failed"' in drawn(seconds([], points=runs([None], State.FAILED)))


def test_many_failed_runs_are_bars_with_a_word() -> None:
    text = drawn(seconds([], points=[*runs([1.0, 2.0]), *runs([1.5] * 100, State.FAILED)]))

    assert (text.count('class="bars"'), text.count('class="failed"')) == (1, 0)
    assert "bars: failed or cancelled" in text


def test_values_of_many_sizes_have_a_logarithmic_axis() -> None:
    assert "logarithmic scale" in drawn(seconds([0.01, 1.0, 100.0]))


@pytest.mark.slow
def test_of_ten_thousand_runs_those_that_stand_out_are_drawn_and_it_says_so() -> None:
    values: list[float | None] = [100.0 + (nth * 7919 % 101) / 10 for nth in range(10_000)]
    values[5001], values[7003] = 150.0, 80.0
    points = runs(values)
    points[3000] = points[3000]._replace(state=State.FAILED)
    text = drawn(seconds([], points=points))

    assert (text.count("h0"), text.count('class="failed"')) == (260, 1)
    assert "261 of 10,000 runs drawn" in "".join(parsed(text).itertext())


def test_five_hundred_runs_take_eight_kilobytes() -> None:
    values = [40 + (nth * 7919 % 101) / 10 for nth in range(500)]
    some_failed = [one._replace(state=State.FAILED) if nth % 17 == 0 else one for nth, one in enumerate(runs(values))]

    assert len(drawn(seconds([], points=some_failed, band=Band(41, 45, 49))).encode()) <= 8 * KIB


def test_labels_beside_a_chart_do_not_overlap() -> None:
    moved = trend.apart([50.0, 52.0, 52.0, 140.0])

    assert all(later - earlier >= 15 - 1e-9 for earlier, later in pairwise(moved))


def test_a_mark_is_before_its_run() -> None:
    (across,) = re.findall(
        r'x1="([\d.]+)%"[^>]*class="mark"', drawn(seconds([1.0] * 3, marks=[ChangeMark(2, "split")]))
    )
    places = trend.across(runs([1.0] * 3))

    assert places[1] < float(across) / 100 < places[2]


# A waterfall


STAGE = StageBar(
    "unit tests", State.SUCCEEDED, 2.0, [TimeSpan(5.0, 8.0, State.FAILED), TimeSpan(9.0, 12.0, State.SUCCEEDED)]
)


def test_a_stage_shows_what_it_waited_and_each_attempt() -> None:
    text = drawn(Waterfall("w", "run", [STAGE], 20.0))

    assert '<line x1="10%" y1="24" x2="25%" y2="24" class="wait"/>' in text
    assert re.findall('class="bar ([a-z]+)"', text) == ["failed", "succeeded"]
    assert "unit tests: succeeded, 7.0 s, waited 3.0 s, 2 attempts" in text


@pytest.mark.parametrize("state", [one for one in State if one is not State.SUCCEEDED])
def test_how_a_stage_ended_is_said_in_words(state: State) -> None:
    words = "".join(parsed(drawn(Waterfall("w", "run", [StageBar("a", state)]))).itertext())

    assert state.value in words.replace("a: ", "").split("more")[0]


def test_a_stage_that_still_runs_lasts_until_now() -> None:
    text = drawn(Waterfall("w", "run", [StageBar("a", State.RUNNING, 0.0, [TimeSpan(5.0, None, State.RUNNING)])], 10.0))

    assert '<rect x="50%" y="18" width="50%"' in text


def test_a_long_name_is_shortened_only_where_there_is_no_room() -> None:
    root = parsed(drawn(Waterfall("w", "run", [StageBar("n" * 60, State.SUCCEEDED)])))

    assert [(one.get("class"), one.text) for one in root.iter("tspan")] == [("wide", "n" * 39), ("narrow", "…")]


# Intervals


def test_an_interval_says_in_words_what_it_draws() -> None:
    one = ChangeInterval("CPU time", 0.08, 0.06, 0.1, 0.05, "0.12 s", "0.13 s", "slower", Tone.BAD)

    assert "CPU time: 0.12 s before, 0.13 s after, +8.0 % (+6.0 % to +10.0 %), limit +5.0 %, slower" in described(
        drawn(Intervals("i", "before and after", [one]))
    )


def test_what_is_far_beyond_the_rest_leaves_the_axis_with_an_arrow() -> None:
    usual = [ChangeInterval(f"m{nth}", 0.01, 0.0, 0.02) for nth in range(3)]
    text = drawn(Intervals("i", "", [*usual, ChangeInterval("writes", 300.0)]))

    assert text.count("arrow") == 1
    assert "x 301.0" in text


def test_what_is_refused_is_on_the_side_that_is_worse() -> None:
    sides = [ChangeInterval("tests", -0.1, limit=0.0, more_is_worse=False), ChangeInterval("writes", -0.1, limit=0.0)]
    first, second = re.findall('<rect x="([^"]*)%"', drawn(Intervals("i", "", sides)))

    assert (float(first), float(second) > 0) == (0.0, True)


# A distribution


def test_both_sides_say_their_medians_and_how_they_differ() -> None:
    text = drawn(Distribution("d", "CPU", Unit.SECONDS, [1.0, 2.0, 3.0], [2.0, 4.0, nan]))

    assert described(text) == (
        "base: 3 samples, median 2.000 s, from 1.000 s to 3.000 s; "
        "head: 2 samples, median 3.000 s, from 2.000 s to 4.000 s; the medians differ by +50.0 %."
    )


def test_equal_samples_are_beside_each_other() -> None:
    assert len(set(distribution.offsets([0.5] * 5))) == 5


def test_of_a_thousand_samples_the_ends_are_drawn_and_it_says_how_many() -> None:
    shown = distribution.thinned([float(nth) for nth in range(1000)])

    assert (shown[0], shown[-1], len(shown)) == (0.0, 999.0, 128)
    assert "1,000 samples, 128 drawn" in drawn(Distribution("d", "", Unit.COUNT, [*map(float, range(1000))], []))


# Colors


def channels(color: str) -> tuple[float, ...]:
    """Linear light of `#rrggbb`."""
    values = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return tuple(one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in values)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    light = [sum(map(float.__mul__, (0.2126, 0.7152, 0.0722), channels(color))) for color in (one, other)]
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("theme", [svg.LIGHT, svg.DARK], ids=["light", "dark"])
def test_text_and_shapes_stand_out_from_the_paper(theme: dict[str, str]) -> None:
    faint = {
        name: contrast(theme[name], theme["paper"]) for name in ("ink", "muted", "data", "bad", "warning", "center")
    }

    assert {name: ratio for name, ratio in faint.items() if ratio < 4.5} == {}
    assert contrast(theme["focus"], theme["paper"]) >= 3


# Machado, Oliveira, Fernandes 2009, severity 1.0.
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(light: tuple[float, ...]) -> tuple[float, float, float]:
    """Oklab of linear light (Ottosson 2020)."""
    red, green, blue = (max(0.0, one) for one in light)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@pytest.mark.parametrize("theme", [svg.LIGHT, svg.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", BLIND)
def test_what_is_fine_and_what_is_bad_differ_for_every_color_vision(theme: dict[str, str], kind: str) -> None:
    seen = {
        name: lab(tuple(sum(map(float.__mul__, row, channels(theme[name]))) for row in BLIND[kind]))
        for name in ("data", "bad")
    }

    assert all(dist(seen[one], seen[other]) > 0.1 for one, other in combinations(seen, 2))


def test_every_color_of_the_style_sheet_is_declared() -> None:
    assert set(re.findall(r"var\(--chart-([a-z]+)\)", svg.CSS)) <= svg.LIGHT.keys() == svg.DARK.keys()


def test_runs_of_one_minute_have_one_date_below_them() -> None:
    text = drawn(seconds([], points=[Point(1.0, f"r{nth}", at=1_795_900_000.0 + nth) for nth in range(9)]))

    assert re.findall('class="muted[^>]*>([^<]*:[^<]*)<', text) == ["2026-11-28 21:06"]


def test_the_year_is_said_once() -> None:
    text = drawn(seconds([], points=[Point(1.0, f"r{nth}", at=1_795_900_000.0 + nth * 864_000) for nth in range(9)]))

    assert re.findall('class="muted[^>]*>([^<]*-[^<]*)<', text) == [
        "2026-11-28",
        "12-18",
        "2027-01-07",
        "01-27",
        "02-16",
    ]
