"""A migration that has landed has run somewhere: a database that has it never sees what is changed in it later."""

import hashlib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# The beginning of each file's SHA-256. A new one is added here with the commit that brings it; none is ever changed.
LANDED = {
    "outbox/0001_tables": "7493994e0e81a7e5",
    "outbox/0002_clock_partitions_clearance": "e8e301d8ee2d4c5a",
    "outbox/0003_claim": "5a14ed9d677ddb17",
    "outbox/0004_budgets": "fdc4336d7277d7a8",
    "outbox/0005_notices": "93a62d365f5b774f",
    "outbox/0006_audit": "cf031ab53e36bb32",
    "outbox/0007_roles": "e9b1144e2af46a79",
    "outbox/0008_likeness": "017914adb17bdd22",
    "outbox/0009_policies": "232b7094f618884b",
    "outbox/0010_approvals": "e39bbee9fac62656",
    "outbox/0011_budgets": "ab56b78507f16813",
    "outbox/0012_alarms_end_told": "26ef1fd24341a090",
    "outbox/0013_sealed_second_factors": "515a3ec9912240b2",
    "outbox/0014_scopes_of_a_delivery": "90aaead1c807c28c",
    "outbox/0015_restored_while_held": "5c14616bb8813473",
    "outbox/0016_partitions_step_aside": "e6ab2c343f985d4d",
    "outbox/0017_months_are_forgotten": "33bdef3bf31e0521",
    "outbox/0018_spend_in_open_runs": "6d590e014d958d2c",
    "outbox/0019_told_by_message": "192731398788f1da",
    "outbox/0020_lawful": "0c9ef4603e24b3eb",
    "outbox/0021_no_naps": "9f46e4176b632c10",
    "reputation/0001_tables": "da84bfc935bf7e5e",
    "reputation/0002_dedication": "9164c922bf4146d4",
    "reputation/0003_suppressed": "31fc31335be32b2b",
    "reputation/0004_second_person": "e51742c81eaa7383",
    "reputation/0005_limits": "6a8d2a7453c9875c",
    "reputation/0006_complaints_elsewhere": "bd4324a290db5b9e",
}


def _print_of(name: str) -> str:
    app, _, stem = name.partition("/")
    return hashlib.sha256((CHECKOUT / app / "migrations" / f"{stem}.py").read_bytes()).hexdigest()[:16]


def test_what_has_landed_stays_as_it_is() -> None:
    assert {name: _print_of(name) for name in LANDED} == LANDED, "write another migration instead"


def test_every_migration_is_listed() -> None:
    found = {f"{path.parents[1].name}/{path.stem}" for path in CHECKOUT.glob("*/migrations/0*.py")}
    assert found == set(LANDED), "list the new one, as it is now"
