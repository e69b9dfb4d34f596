"""The rules that hold: what waits for a person, and why. Pure, each one decision and one sentence for the agent.

They stand in their order in ``policies``. What is judged by the content alone is decided in ``content_rules``,
``links`` and ``lookalikes``. Refuses to refuse: a hold costs a person's look, so that in doubt it is one.
"""

from outbox import content_rules, links, regions
from outbox.lookalikes import resembles
from outbox.payloads import Draft
from outbox.policy_numbers import Policy
from outbox.verdicts import Facts, Finding, Hold


def records_are_right(_draft: Draft, facts: Facts) -> Finding:
    """New mail of a domain whose records broke waits until they are right again: it would be refused, or worse."""
    if not facts.degraded:
        return None
    return Hold(
        "recheck", f"The DNS records of {facts.domain} are wrong; it goes on when they are right again."
    )


def evidence_is_fine(_draft: Draft, facts: Facts) -> Finding:
    """What may be going wrong goes on only if a person has looked, or when it has turned out to be nothing."""
    if facts.weak_scope is None or facts.exempt or facts.stream_kind == "transactional":
        return None
    return Hold(
        "weak_evidence",
        f"Mail of {facts.weak_scope} may be unwanted or badly addressed; a person looks at it, or it goes on by itself "
        "when the evidence has passed.",
    )


def everything_is_seen(_draft: Draft, facts: Facts) -> Finding:
    """An admin may want to see each message of a stream."""
    return (
        Hold("policy", "Every message of this stream waits for a person.")
        if facts.policy.hold_everything
        else None
    )


def recipients_are_known(draft: Draft, facts: Facts) -> Finding:
    """The first message to somebody waits: a made-up address is made up for the first time."""
    new = sum(mailbox.addr in facts.first_contacts for mailbox in draft.recipients)
    if not facts.policy.first_contact or not new:
        return None
    who = "the recipient" if len(draft.recipients) == 1 else f"{new} of {len(draft.recipients)} recipients"
    return Hold("first_contact", f"Nothing was sent to {who} before; a person looks at it first.")


def agent_is_known(_draft: Draft, facts: Facts) -> Finding:
    """What an agent does is seen in its first messages."""
    if facts.accepted_before >= facts.policy.new_agent:
        return None
    return Hold(
        "new_agent",
        f"The first {facts.policy.new_agent} messages of an agent wait for a person; "
        f"this is number {facts.accepted_before + 1}.",
    )


def run_is_slow(_draft: Draft, facts: Facts) -> Finding:
    """A run that writes to many at once is a campaign, whatever it calls itself; runs below one root are one."""
    policy = facts.policy
    if not policy.run_recipients or facts.run_recent + facts.recipients <= policy.run_recipients:
        return None
    return Hold(
        "run_recipients",
        f"The run would have more than {policy.run_recipients} recipients within {policy.run_minutes} minutes.",
    )


def content_is_of_few(_draft: Draft, facts: Facts) -> Finding:
    """The same words to many people are one campaign, however the names are swapped."""
    most, size = facts.policy.cluster_size, facts.likeness.cluster_size
    if not most or size <= most:
        return None
    return Hold(
        "cluster_size",
        f"Nearly the same content would go to {size} people; above {most} a person looks at it.",
    )


def attachments_are_of_the_list(draft: Draft, facts: Facts) -> Finding:
    """By name, by type and by how a file begins; nothing is unpacked."""
    if not facts.policy.attachments or not draft.attachments:
        return None
    words = content_rules.bad_file(draft.attachments, facts.policy.attachment_types)
    return Hold("attachment_type", f"An attachment has to be looked at: {words}.") if words else None


def names_are_their_own(draft: Draft, facts: Facts) -> Finding:
    """Domains of recipients, of replies and of links that pose as ours or as one that people trust."""
    if not facts.policy.lookalike_domains:
        return None
    own, known = (
        facts.own_domains | frozenset(facts.policy.own_domains),
        frozenset(facts.policy.known_domains),
    )
    hosts = [mailbox.domain for mailbox in (*draft.recipients, *draft.reply_to)]
    hosts += links.read(draft.text, draft.html).hosts
    words = next((words for host in dict.fromkeys(hosts) if (words := resembles(host, own, known))), None)
    return Hold("lookalike_domain", f"{words[:200]}.") if words else None


def words_are_finished(draft: Draft, facts: Facts) -> Finding:
    """What a person would not have written goes to a person."""
    if not facts.policy.content_lint:
        return None
    words = content_rules.placeholder(draft) or content_rules.oddity(draft)
    return Hold("content_lint", f"The content has to be looked at: {words}.") if words else None


def links_say_where_they_lead(draft: Draft, facts: Facts) -> Finding:
    """A link whose words name one host and whose address another is how people are led astray."""
    words = content_rules.lie(draft) if facts.policy.link_mismatch else None
    return Hold("link_mismatch", f"Links must lead where they say: {words[:200]}.") if words else None


def people_are_awake(draft: Draft, facts: Facts) -> Finding:
    """Within the stream's quiet hours mail waits until a person says that it is worth waking somebody.

    They are hours of the recipient's own country, where its domain tells one: of several time zones any counts.
    """
    policy = facts.policy
    if policy.quiet_from == policy.quiet_until:
        return None
    at = draft.scheduled_at or facts.now
    for domain in sorted({mailbox.domain for mailbox in draft.recipients}):
        own = regions.zones(domain) if policy.quiet_by_region else ()
        for zone in own or (policy.zone,):
            if _is_quiet(policy, at.astimezone(zone).hour):
                where = f"for {domain} ({zone.key})" if own else f"in {zone.key}"
                words = f"It is between {policy.quiet_from} and {policy.quiet_until} h {where}."
                return Hold("quiet_hours", words)
    return None


def _is_quiet(policy: Policy, hour: int) -> bool:
    start, end = policy.quiet_from, policy.quiet_until
    return start <= hour < end if start < end else hour >= start or hour < end
