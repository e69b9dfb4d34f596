"""Reputation: what a lane may do now, and why.

What outbox asks, on the way out::

    standing     how does this domain's mail leave: domain, keys, route; or closed
    allowance    how many may go today (the claim reserves in SQL), judged by ramps and hours (pure)
    outlook      when would mail accepted now be through (forecasts, pure)
    suppression  who must not be mailed
    tlspolicies  how safe must the line to a recipient's domain be (mta_sts, pure; fetching, the HTTPS edge)
    families     which mailbox provider stands behind a domain (providers, pure)

What comes back::

    valves       replies slow, close and reopen what they name (shaping, pure; its rows are data)
    feedback     a bounce or a complaint counts against the day's ramps, and is evidence
    gathering    on whom an outcome falls: the watches of its run, agent, domain and stream (windows, pure)
    judging      evidence is weighed once: rules (pure; rates, incidents) say what it proves; then it trips
    witnesses    what a server says against us on our own connection
    evidence     what is remembered against its limits, for pages (simulating: what other numbers would do)
    listings     is it true that we are on the block list they name (blocklists, pure)
    selfsigned   does our own signature hold by the key that the DNS shows
    killswitch   trip and resume scopes, which are opaque (kind, key) pairs; switchlog tells of them
    reopening    who may open a scope again, and how; rewarming lets ramps begin lower after it

A sending domain's life::

    domains      enrol, verify, degrade, retire
    records      (pure) what to publish, and what is wrong in words (findings, spf, alignment)
    keyring      signing keys, their rotation and resealing; vault keeps secrets sealed
    lookups      DNS without an event loop; resolver is the only importer of dnspython, signing of dkimpy

Pages: ``admin*``, with ``overview``, ``tiles``, ``bulk`` and ``pictures``. Nothing here knows a table of outbox's.
"""
