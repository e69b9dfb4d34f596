"""Agent Outbox: the walk of one message, in the order it happens.

Out, from ``POST /v1/messages`` to the receiving server's 250::

    api          door: who are you, is it well formed, are you over the request rate
    toolbox      the same door for agents with tools: each is a request to it (mcp: the edge, api_mcp: over HTTP)
    probing      what was refused again and again is heard ever more rarely
    intake       one transaction: idempotency, facts, verdict, message + deliveries + events -> 202
    facts        what the rules and the intake need to know, read in one statement
    duplicates   who was sent the same before, how many are: the index of prints
    fingerprints (pure) what a message says, small enough to compare: its own words (ownwords, folding), sketched
    cases        the drafts of one call before the rules, each behind those before it
    policies     (pure) release | hold(reasons) | refuse(reason), by the numbers of the stream (policy_numbers)
    holds        (pure) the rules that hold; content_rules, links, lookalikes, regions: what words, links and names say
    contacts     who mail was let go to before
    entries      the rows of a draft that passed, and what its sender is told
    approvals    what is held joins a request, bound by a digest of its content (binding, pure)
    budgets      charged as the last thing of that transaction (limits: what is said of one that is spent)
    ledger       claim due deliveries under a lease, their allowance reserved; the only writer of delivery state
    dispatch     the pipeline: gate, compose, sign, transmit, clear, dot, interpret, settle
    compose      (pure) message -> RFC 5322 bytes; return-path from verp
    delivery     edge: MX or relay, TLS, SMTP conversation -> Reply
    outcomes     (pure) Reply -> delivered | relayed | deferred | bounced | uncertain
    ledger       settle + event, in one transaction
    hearing      what the reply says beyond it: lost mailboxes, our speed, accusations (heeding, pure)

Back, from a bounce to what follows from it::

    listener     edge: SMTP and LMTP; what is none of ours is refused before DATA (``api_returns``: the same by HTTP)
    mailboxes    whose mailbox an envelope recipient is: a return-path only with a token of ours (verp)
    esp          relay services' webhooks: who posts is checked first (sns; ses_mail, by email)
    esp_reports  (pure) one event of a service in, what it testifies out (esp_marks: how services name our deliveries)
    returns      one message in: matched, counted once, acted on, in one transaction (relayed: one event of a service)
    reports      (pure) RFC 3464 / RFC 5965 and the many that are not -> Reading
    ledger       the signal, the move it testifies, the event; then reputation.feedback and reputation.suppression
    quarantine   what no parser understands, and what is written to people

Asking people::

    reviewing    what waits for them, the most urgent first (waits: how long what is held now may wait)
    deciding     a person's word: release, in waves, a part, refuse; above a size another one's too
    releasing    it is carried out in pages, judged again; waves are watched; what nobody decides lapses

Asking a person about it::

    reach        whom a request's messages would go to, and what became of those that went
    exhibits     some of them to read, least like the others first (variation: what they have in common, pure)
    queue_health how long requests wait, and whether anybody reads them
    summons      reviewers are written to, by a stream of our own

Stopping it::

    panels       what goes out now, who sends it (outgoing, senders), and a button for each scope
    proof        what was cleared before a stop and what became of it (aftermath, recipients; knocks: who still posts)
    recheck      what waits is looked at again before its scope opens, and opens in steps
    purging      what waits is thrown away, an hour later for good
    proving      who sits there (second_factor: with a phone, people: what each group may)
    audit        what people and rules did, in one chain

Telling it::

    webhooks     notices, written by triggers with what they tell, claimed in order and settled (webhook_events, pure)
    notifier     edge: signed and posted, by a process of its own (endpoints, webhook_signing)

Watching over it::

    pulse        is mail going out: lateness, the last dot, doubt, workers
    conditions   what a person is woken for, each with its words
    alarms       raised while a condition holds, told until told (vigil: who keeps watch; pager: the edge)
    doubt        what was uncertain, or is after a restore, and what a person decides
    drill        a rehearsed stop, measured

Beside it: ``lifecycle`` is the one state machine, ``ids`` names things so that they sort by time,
``alarm`` kicks a worker after commit, ``runs`` opens the tree of runs and ``lineage`` ends it, ``preflight`` says what
would happen, ``tasks`` is Celery's thin shell, ``desk*`` and ``admin*`` hold the pages for people, ``metrics`` and
``gauges`` what machines want to know, ``tally`` and ``knocks`` what is only counted (``counting`` writes it down),
``replaying`` what other numbers of the rules would have stopped, ``rehearsing`` what yesterday would have met under
another policy. Imports run ``config -> outbox -> reputation``, never upward.
"""
