"""A recipient's domain that asks for TLS is obeyed by a real worker, and stays obeyed while its policy is kept."""

from tests.walks.harness.installation import Installation

ATTEMPTS = "SELECT host, tls, fault, outcome FROM outbox_attempt WHERE delivery_id = %s"


def test_mail_goes_only_where_the_policy_is_kept(here: Installation) -> None:
    here.worker()
    proven, lying, elsewhere = here.post("ok@sts.test", "ok@sts-badcert.test", "ok@sts-nomatch.test")
    here.until_status([proven], "delivered")
    here.until_status([lying, elsewhere], "deferred")
    found = {here.ask(ATTEMPTS, one.delivery)[0] for one in (proven, lying, elsewhere)}
    assert found == {
        ("mx.sts.test", "TLSv1.3 verified", "", "delivered"),
        ("mx.sts-badcert.test", "", "tls", "deferred"),
        ("", "", "tls_policy", "deferred"),
    }
    assert here.status(lying) == here.status(elsewhere) == ("deferred", "tls_failed")
    assert {entry.rcpt for entry in here.oracle()} == {"ok@sts.test"}
    kept = here.ask("SELECT domain, mode FROM reputation_tlspolicy ORDER BY domain")
    assert [(row.domain, row.mode) for row in kept] == [
        ("sts-badcert.test", "enforce"),
        ("sts-nomatch.test", "enforce"),
        ("sts.test", "enforce"),
    ]
    here.check_invariants()
