"""The metrics of a comparison, as the configuration changes them."""

from __future__ import annotations

import pytest

from orchgate.config.settings import Benchmarks, Performance
from orchgate.config.settings import MetricSettings as Configured
from orchgate.measures.declared import MetricKind
from orchgate.verdict.values import KNOWN, Metric, Policy, policy


def configured(**metrics: Configured) -> Policy:
    names = {name.replace("_", "-"): metric for name, metric in metrics.items()}
    nothing = {**dict.fromkeys(Performance._fields), "benchmarks": Benchmarks("", "")}
    return policy(Performance(**{**nothing, "metrics": names}), undecided_blocks=True)  # type: ignore[arg-type]


def limits(
    block: float | None = None,
    tolerance: float | None = None,
    maximum: float | None = None,
    minimum: float | None = None,
) -> Configured:
    return Configured(block, tolerance, maximum, minimum)


def test_without_configuration_the_known_metrics_are_judged() -> None:
    assert tuple(configured().metrics.values()) == KNOWN


def test_the_word_about_inconclusive_is_kept() -> None:
    assert configured().inconclusive == "block"


def test_a_block_replaces_the_default_with_its_slack() -> None:
    metric = configured(max_rss_bytes=limits(block=0.2)).metrics["max_rss_bytes"]

    assert (metric.block, metric.tolerance, metric.slack) == (0.2, 0.01, 0.0)


def test_bounds_alone_keep_the_default_thresholds() -> None:
    metric = configured(max_rss_bytes=limits(maximum=1e9)).metrics["max_rss_bytes"]

    assert metric == KNOWN[2]._replace(most=1e9)


def test_no_measured_metric_blocks_below_what_it_tolerates() -> None:
    assert configured(cpu_seconds=limits(block=0.0)).metrics["cpu_seconds"].block == 0.01


def test_a_counter_may_be_held_to_no_change_at_all() -> None:
    metric = configured(written_bytes=limits(block=0.0)).metrics["written_bytes"]

    assert (metric.block, metric.tolerance, metric.slack) == (0.0, 0.0, 0.0)


def test_an_unknown_metric_is_a_counter() -> None:
    metric = configured(lint_warnings=limits(minimum=1.0)).metrics["lint_warnings"]

    assert metric == Metric("lint_warnings", MetricKind.COUNTER, 0.0, least=1.0)


@pytest.mark.parametrize(
    ("bounds", "refuses"), [(limits(), False), (limits(maximum=1e9), False), (limits(block=0.1), True)]
)
def test_bytes_read_refuse_only_where_their_block_is_configured(bounds: Configured, refuses: bool) -> None:
    assert configured(read_bytes=bounds).metrics["read_bytes"].refuses is refuses
