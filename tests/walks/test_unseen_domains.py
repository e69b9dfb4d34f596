"""A domain nobody has written to before counts against the ramp of the provider that its mail hosts tell."""

from tests.walks.harness.installation import Installation

WARM_UP = "UPDATE reputation_sendingdomain SET preset = 'own', own_steps = '{5000}'"
USED = """
SELECT r.provider, a.taken, a.used FROM reputation_allowance AS a JOIN reputation_ramp AS r ON r.id = a.ramp_id
WHERE r.kind = 'domain' AND a.taken > 0
"""


def test_its_first_message_is_the_right_providers(here: Installation) -> None:
    here.ask(WARM_UP)
    here.worker()
    deliveries = here.post("ok.first@mimecast.test", "ok.first@proofpoint.test", "ok.first@corp.test")
    here.until_status(deliveries, "delivered")
    used = {row.provider: (row.taken, row.used) for row in here.ask(USED)}
    assert used == {"mimecast": (1, 1), "proofpoint": (1, 1), "other": (1, 1)}
    here.check_invariants()
