"""The rules for Prometheus: they parse, speak of metrics that exist, and lead into the runbook."""

import re
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from outbox.conditions import CONDITIONS

DOCS = settings.BASE_DIR / "docs"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
METRIC = re.compile(r"\bao_\w+")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_how_bad_it_is_and_leads_into_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (DOCS.parent / path).read_text(), re.M)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert METRIC.search(rule["expr"])
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_every_condition_has_a_rule_of_its_name() -> None:
    named = {condition.kind.title().replace("_", "") for condition in CONDITIONS}
    assert named <= {rule["alert"] for rule in RULES}


@pytest.mark.usefixtures("live_db")
def test_every_metric_that_a_rule_names_is_there() -> None:
    text = Client().get("/metrics").content.decode()
    families = list(text_string_to_metric_families(text))
    told = {name for family in families for name in (family.name, f"{family.name}_total")}
    asked = {name for rule in RULES for name in METRIC.findall(rule["expr"])}
    assert asked <= told
    failed = {
        s.labels["reading"]: s.value for f in families for s in f.samples if f.name == "ao_metrics_failed"
    }
    assert set(failed.values()) == {0.0}, failed
