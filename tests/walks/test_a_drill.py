"""A drill stops a canary under load, with real workers and conversations, measures it, and puts everything back."""

from tests.walks.harness.installation import Installation

STREAM = "agents-support"


def test_a_drill_measures_time_to_zero_and_leaves_nothing_behind(here: Installation) -> None:
    here.ask("UPDATE outbox_agent SET name = %s WHERE name = 'carol'", f"canary-{STREAM}")
    here.worker(children=2)
    bystander = here.post("ok.ada@corp.test")
    words = ("--stream", STREAM, "--to", "ok.canary@corp.test", "--messages", "800")
    said = here.manage("drill", *words).said()
    print(said)
    assert "could not kick" not in said
    [drill] = here.ask("SELECT * FROM outbox_drill")
    assert (drill.scope, drill.messages, drill.after) == (f"stream:{STREAM}", 800, 0)
    assert drill.workers == len(here.sessions()) >= 1
    assert 0 < drill.trip_seconds < 5
    assert drill.heard_seconds is not None
    assert drill.kept > 0
    # what was cleared before it went out, what was kept never will; the stream is open, and mail flows again
    sent = len([entry for entry in here.oracle() if entry.rcpt == "ok.canary@corp.test"])
    assert sent == drill.sent == 800 - drill.kept
    last = max(entry.t_dot for entry in here.oracle())
    [stop] = here.ask("SELECT at FROM reputation_switchevent WHERE epoch = %s", drill.epoch)
    assert last <= stop.at.timestamp() + drill.zero_seconds + 0.1
    assert here.ask("SELECT scope FROM reputation_openstop") == []
    here.until_status(here.post("ok.bob@corp.test", agent="carol"), "delivered")
    here.until_status(bystander, "delivered")
    assert here.statuses() == {"delivered": sent + 2, "cancelled": drill.kept}
    here.check_invariants()
