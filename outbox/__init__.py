"""Agent Outbox: the walk of one message, in the order it happens.

Out, from ``POST /v1/messages`` to the receiving server's 250::

    api          door: who are you, is it well formed, are you over the request rate
    intake       one transaction: idempotency, facts, verdict, message + deliveries + events -> 202
    facts        what the rules and the intake need to know, read in one statement
    policies     (pure) release | hold(reasons) | refuse(reason)
    ledger       claim due deliveries under a lease; the only writer of delivery state
    dispatch     the pipeline: gate, compose, sign, transmit, clear, dot, interpret, settle
    compose      (pure) message -> RFC 5322 bytes; return-path from verp
    delivery     edge: MX or relay, TLS, SMTP conversation -> Reply
    outcomes     (pure) Reply -> delivered | relayed | deferred | bounced | uncertain
    ledger       settle + event, in one transaction

Beside it: ``lifecycle`` is the one state machine, ``ids`` names things so that they sort by time,
``alarm`` kicks a worker after commit, ``runs`` opens the tree of runs, ``tasks`` is Celery's thin shell,
``desk`` the pages for people. Imports run ``config -> outbox -> reputation``, never upward.
"""
