"""Reputation: what a lane may do now, and why.

Outbox asks one question, ``standing(stream)``: open with which sending domain, keys and route, or closed and
why. ``killswitch`` trips and resumes scopes, which are opaque (kind, key) pairs: nothing here knows a table
of outbox's. ``resolver`` is the only importer of dnspython, ``signing`` of dkimpy; ``vault`` keeps secrets
sealed at rest; ``providers`` knows mailbox provider families by their MX names.
"""
