"""Walks: real processes on a real database. `here` is an installation of the test's own; `house` one for them all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.walks.harness.inside import Inside
from tests.walks.harness.installation import Installation, Template, environment

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the walks."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.walk)


@pytest.fixture(scope="session")
def template(database: Any, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A seeded database, and the folder that all simulators share."""
    return make_template(database.cluster, database.template, tmp_path_factory.mktemp("shared"))


def make_template(cluster: Any, origin: str | None, shared: Path) -> Template:
    urls = cluster.create_database("seeded", origin)
    inside = Inside(environment(urls, shared))
    try:
        seed = inside.prepare()
    finally:
        inside.close()
    return Template(cluster, "seeded", seed, shared)


@pytest.fixture
def here(template: Template, tmp_path: Path) -> Iterator[Installation]:
    """Database and simulator of this test alone; it starts the rest itself."""
    with Installation.of(template, tmp_path) as here:
        yield here


@pytest.fixture(scope="package")
def house(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation in health, for the walks that break nothing: web, a worker and beat."""
    with Installation.of(template, tmp_path_factory.mktemp("house"), AO_LEASE_SECONDS="15") as house:
        house.beat()
        house.web()
        house.worker()
        yield house


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed walk shows the ends of its processes' logs."""
    report = yield
    if report.failed and report.when == "call":
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Installation):
                report.sections.append((f"processes of {value.name}", value.tails()))
    return report
