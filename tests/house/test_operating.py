"""The guide for operators names each metric that there is, as it is."""

import re
from collections.abc import Iterator

from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from house.sources import ROOT
from purvey.server import app
from purvey.server.kit import metrics as kept
from purvey.server.metrics import measures
from purvey.server.metrics.model import HELP, Backlog, Depth

GUIDE = ROOT / "docs" / "operating.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\| (?P<says>[^|]+) \|$", re.MULTILINE)
Line = tuple[str, str, tuple[str, ...]]
"""Name, type and labels of a metric."""


def documented() -> dict[str, Line]:
    """Return the rows of the guide's table."""
    rows = ROW.finditer(GUIDE.read_text(encoding="utf-8"))
    return {row["name"]: (row["name"], row["type"], tuple(re.findall(r"`(\w+)`", row["labels"]))) for row in rows}


def kept_by_processes() -> Iterator[Line]:
    """Yield the metrics that processes count, of all the rooms that the application consists of."""
    assert app.SLOTS  # imported for the metrics that its rooms make
    for collector in kept.REGISTRY._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        ending = "_total" if collector._type == "counter" else ""
        yield collector._name + ending, str(collector._type), tuple(collector._labelnames)


def found_when_asked() -> Iterator[Line]:
    """Yield the metrics that are made when somebody asks for them."""
    backlog = Backlog([Depth("webhook", 0.0, 0, 0, 0)], {"under_1m": 0})
    made: list[Metric] = [*measures._told(backlog), measures._build()]
    for metric in made:
        yield metric.name, metric.type, tuple(metric.samples[0].labels)


def test_the_guide_lists_each_metric_with_its_type_and_labels_and_no_other() -> None:
    there = {line[0]: line for line in (*kept_by_processes(), *found_when_asked())}
    assert documented() == there


def test_each_metric_that_is_made_when_asked_for_says_what_it_is() -> None:
    assert {line[0] for line in found_when_asked()} == set(HELP)


def test_an_age_of_orders_that_the_guide_names_is_one_that_the_database_tells() -> None:
    migrations = ROOT / "src" / "purvey" / "server" / "migrations"
    told = set(re.findall(r"'((?:under|over)_\w+)'", (migrations / "0016_metrics.sql").read_text(encoding="utf-8")))
    assert len(told) == 5
    assert set(re.findall(r"\b(?:under|over)_1[mhd0]+\b", GUIDE.read_text(encoding="utf-8"))) == told


def test_every_name_that_the_page_has_is_a_proper_one() -> None:
    names = re.findall(rb"^# TYPE (\S+)", generate_latest(kept.REGISTRY), re.MULTILINE)
    assert names
    assert [name for name in names if not re.fullmatch(rb"(purvey|process)_[a-z_]+", name)] == []
