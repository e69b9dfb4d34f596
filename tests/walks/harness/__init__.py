"""A whole installation on loopback, made of its real processes, for tests that kill them.

    waiting        `until`: the one way to wait, with a deadline and a reason
    processes      one process with its own group and log; a Celery worker and the child that dispatches
    inside         what only the installation's own Django can do (seed, accept, trip), in a process of its own
    installation   a database from the template, the simulator, workers, beat and web around it
    invariants     L, D, S and K: what the database claims, held against what the oracle saw
    receiver       what whoever got a message concludes about it: DKIM, SPF, DMARC
    brokers        Valkey and RabbitMQ as processes that can be killed, emptied and started again

Nothing here reaches beyond loopback, and nothing outlives its fixture.
"""
