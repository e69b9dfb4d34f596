"""One CHECK says what a delivery may be, in a function whose plan a connection keeps.

A CHECK is read and planned anew by every statement that writes to its table: twelve of them, with all their codes, were
a fifth of an accept's statement, and as much again of each claim, clearance and settle.
"""

from django.db import migrations, models
from django.db.models import F, Func

LAWFUL = """
-- What outbox.lifecycle says of a delivery's state, its code, its lease and its end.
CREATE FUNCTION ao_lawful(status text, code text, session_id bigint, finished_at timestamptz)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$
BEGIN
    RETURN CASE status
        WHEN 'queued' THEN true
        WHEN 'sending' THEN session_id IS NOT NULL
        WHEN 'deferred' THEN true
        WHEN 'held' THEN code IN ('attachment_type', 'cluster_size', 'content_changed', 'content_lint',
            'first_contact', 'link_mismatch', 'lookalike_domain', 'new_agent', 'poison', 'policy', 'quiet_hours',
            'recheck', 'run_recipients', 'set_aside', 'weak_evidence')
        WHEN 'uncertain' THEN code IN ('no_reply_after_dot', 'restored_from_backup', 'send_queue_stuck',
            'session_lost_after_clearance')
        WHEN 'delivered' THEN code IN ('accepted_by_server', 'by_person')
        WHEN 'relayed' THEN code IN ('accepted_by_relay')
        WHEN 'bounced' THEN code IN ('authentication_refused', 'by_person', 'content_refused_by_server',
            'dns_failed', 'mailbox_full', 'message_too_big', 'null_mx', 'protocol_error', 'recipient_inactive',
            'recipient_moved', 'recipient_unknown', 'refused_unclassified', 'reputation_refused', 'tls_required')
        WHEN 'expired' THEN code IN ('approval_lapsed', 'expires_at_passed', 'retries_exhausted')
        WHEN 'suppressed' THEN code IN ('by_person', 'complaint', 'hard_bounce', 'unsubscribed')
        WHEN 'cancelled' THEN code IN ('by_agent', 'by_person', 'purged_after_stop', 'run_cancelled')
        WHEN 'refused' THEN code IN ('by_policy', 'by_reviewer')
        ELSE false
    END AND (finished_at IS NOT NULL) = (
        status IN ('bounced', 'cancelled', 'delivered', 'expired', 'refused', 'relayed', 'suppressed'));
END
$$;
"""

BEFORE = [
    "status_known", "finished_when_final", "sending_has_a_session", "held_code", "uncertain_code", "delivered_code",
    "relayed_code", "bounced_code", "expired_code", "suppressed_code", "cancelled_code", "refused_code",
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("outbox", "0019_told_by_message")]

    operations = [
        migrations.RunSQL(LAWFUL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "delivery",
            models.CheckConstraint(
                condition=Func(
                    F("status"),
                    F("code"),
                    F("session"),
                    F("finished_at"),
                    function="ao_lawful",
                    output_field=models.BooleanField(),
                ),
                name="delivery_lawful",
            ),
        ),
        *(migrations.RemoveConstraint("delivery", f"delivery_{name}") for name in BEFORE),
    ]
