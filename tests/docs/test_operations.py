"""What docs/operations.md says of Prometheus is what is told, and alert rules ask for what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect
from tests.server.asking import Asking
from tests.server.notify.events import webhook
from tests.server.records import STREAM, batch, step

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
RULES = ROOT / "deploy/prometheus-rules.yml"
FUNCTIONS = {"sum", "by", "increase", "predict_linear", "and"}


@pytest.fixture
def families(tmp_path: Path) -> dict[str, Metric]:
    """Everything that can be told, by name of the family as counters have it."""
    store = Store(tmp_path / "archive.db")
    ingest = Ingest(store, lambda: connect("redis://127.0.0.1:1"), lambda run, entries: None)
    ingest.tally.archived({STREAM: batch(step(1, ratio_mean=1.0))}, 1, 0.1)
    ingest.tally.scanned(0)
    notifier = Notifier(store, [webhook("http://127.0.0.1:1/")], World(Links(""), {}))
    notifier.look_after()
    api = Asking.of(store, ingest=ingest, metrics_runs=True, notifier=notifier)
    api.ticker.tick(0.0)
    text = api.ask("/metrics").text
    store.close()
    found = {
        family.name + "_total" * (family.type == "counter"): family
        for family in text_string_to_metric_families(text)
    }
    return {name: family for name, family in found.items() if name.startswith("rolloutwatch_")}


def test_every_figure_is_explained_and_none_that_there_is_not(families: dict[str, Metric]) -> None:
    rows = re.findall(r"^\| ((?:`rolloutwatch_\w+`(?:, )?)+) \| (\w+)(.*?) \|", PAGE, re.MULTILINE)
    explained = {name: kind for names, kind, _ in rows for name in re.findall(r"`(\w+)`", names)}
    told = {name: family.type for name, family in families.items()}
    assert explained | {"rolloutwatch_build_info": "gauge"} == told
    for names, _, labels in rows:
        for name in re.findall(r"`(\w+)`", names):
            samples = families[name].samples
            if families[name].type != "histogram" and name != "rolloutwatch_build_info":
                assert set(re.findall(r"`(\w+)`", labels)) == {
                    key for one in samples for key in one.labels
                }, name


def test_alert_rules_ask_for_what_is_told(families: dict[str, Metric]) -> None:
    """Every figure of an expression exists, a label that it asks for has that value, and each rule says what it means."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", rule["expr"])
        names = set(re.findall(r"[a-z_]{2,}", bare)) - FUNCTIONS - {"up"}
        assert names <= set(families), rule["alert"]
        for name, label, value in re.findall(r'(rolloutwatch_\w+)\{(\w+)="(\w+)"\}', rule["expr"]):
            assert value in {sample.labels.get(label) for sample in families[name].samples}


def test_queries_of_the_page_ask_for_what_is_told(families: dict[str, Metric]) -> None:
    named = set(re.findall(r"rolloutwatch_(?!server)\w+", PAGE)) - {"rolloutwatch_build_info"}
    known = set(families) | {f"{name}_bucket" for name, one in families.items() if one.type == "histogram"}
    assert named <= known
