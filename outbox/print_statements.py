"""The SQL of ``duplicates``: prints read and written, clusters found, counted and forgotten."""

from typing import Final, LiteralString

# bands of drafts, by the primary key
OWNERS: Final[LiteralString] = """
SELECT hash, slot, cluster_id FROM outbox_band WHERE hash = ANY (%s::bigint[])
"""

# The newest prints of each person (index print_of_person). The delivery is looked up by its key, row for row: as a join
# a planner might read all of them.
EARLIER: Final[LiteralString] = """
SELECT p.person, r.at, r.agent_id, r.delivery_id, r.enclosed, r.sketch
FROM unnest(%(people)s::bytea[]) AS p (person) CROSS JOIN LATERAL (
    SELECT * FROM outbox_print AS r WHERE r.person = p.person AND r.at > ao_now() - %(window)s
    ORDER BY r.at DESC LIMIT %(newest)s) AS r
WHERE coalesce((SELECT d.status FROM outbox_delivery AS d WHERE d.id = r.delivery_id), '')
      NOT IN ('cancelled', 'refused', 'expired', 'suppressed')
"""
NOW: Final[LiteralString] = "SELECT ao_now() AS now"

# A day's count is kept whole: the window opens with the first day that it touches.
CLUSTERS: Final[LiteralString] = """
SELECT c.id, c.sketch, coalesce(
    (SELECT sum(k.people) FROM outbox_clustercount AS k
     WHERE k.cluster_id = c.id AND k.day >= ((ao_now() - %(window)s) AT TIME ZONE 'UTC')::date), 0) AS people
FROM outbox_cluster AS c WHERE c.id = ANY (%(clusters)s::bigint[])
"""
# How often a person was in a cluster, and the last time: found however many prints of theirs are newer.
REPEATS: Final[LiteralString] = """
SELECT g.cluster_id, g.person, r.nth, r.at, r.agent_id, r.delivery_id, r.enclosed, r.sketch,
       coalesce((SELECT d.status FROM outbox_delivery AS d WHERE d.id = r.delivery_id), '')
       NOT IN ('cancelled', 'refused', 'expired', 'suppressed') AS counts
FROM unnest(%s::bigint[], %s::bytea[]) AS g (cluster_id, person)
CROSS JOIN LATERAL (
    SELECT * FROM outbox_print AS r WHERE r.cluster_id = g.cluster_id AND r.person = g.person
    ORDER BY nth DESC LIMIT 1) AS r
"""

# Written in this order and each in the order of its key, so that two calls never wait for each other in a ring.
NEW_CLUSTERS: Final[LiteralString] = """
INSERT INTO outbox_cluster (id, sketch, bands)
SELECT c.id, c.sketch, coalesce(b.hashes, '{}')
FROM unnest(%(ids)s::bigint[], %(sketches)s::bytea[]) AS c (id, sketch) LEFT JOIN (
    SELECT cluster_id, array_agg(hash) AS hashes
    FROM unnest(%(hashes)s::bigint[], %(owners)s::bigint[]) AS b (hash, cluster_id) GROUP BY cluster_id
) AS b ON b.cluster_id = c.id
ORDER BY c.id
"""
NEW_BANDS: Final[LiteralString] = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(hashes)s::bigint[], %(slots)s::smallint[], %(owners)s::bigint[])
        AS b (hash, slot, cluster_id)
), taken AS (
    INSERT INTO outbox_band (hash, slot, cluster_id) SELECT hash, slot, cluster_id FROM given ORDER BY hash, slot
    ON CONFLICT DO NOTHING RETURNING hash, slot
)
SELECT hash, slot, cluster_id FROM given LEFT JOIN taken AS t USING (hash, slot) WHERE t.hash IS NULL
"""
NEW_PRINTS: Final[LiteralString] = """
WITH written AS (
    INSERT INTO outbox_print (cluster_id, person, nth, at, agent_id, delivery_id, enclosed, sketch)
    SELECT cluster_id, person, nth, ao_now(), %(agent)s, delivery_id, enclosed, sketch
    FROM unnest(%(clusters)s::bigint[], %(people)s::bytea[], %(nths)s::int[], %(deliveries)s::uuid[],
        %(enclosed)s::bytea[], %(sketches)s::bytea[]) AS p (cluster_id, person, nth, delivery_id, enclosed, sketch)
    ORDER BY cluster_id, person, nth
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS n FROM written
"""
COUNT: Final[LiteralString] = """
INSERT INTO outbox_clustercount AS k (cluster_id, day, shard, people)
SELECT cluster_id, (ao_now() AT TIME ZONE 'UTC')::date, pg_backend_pid() %% 16, people
FROM unnest(%s::bigint[], %s::int[]) AS c (cluster_id, people) ORDER BY cluster_id
ON CONFLICT (cluster_id, day, shard) DO UPDATE SET people = k.people + excluded.people
"""

OWNERS_NOW: Final[LiteralString] = """
SELECT g.ours, c.sketch FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[]) AS g (hash, slot, ours)
JOIN outbox_band AS b ON b.hash = g.hash AND b.slot = g.slot JOIN outbox_cluster AS c ON c.id = b.cluster_id
"""

FORGET_PRINTS: Final[LiteralString] = """
DELETE FROM outbox_print WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM outbox_print WHERE at < ao_now() - %(kept)s ORDER BY at LIMIT %(page)s))
"""
# A cluster is forgotten when nobody new has joined it for so long, and its bands with it.
FORGET_CLUSTERS: Final[LiteralString] = """
WITH cutoff AS (SELECT ((ao_now() - %(kept)s) AT TIME ZONE 'UTC')::date AS day),
old AS (
    DELETE FROM outbox_clustercount WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM outbox_clustercount WHERE day < (SELECT day FROM cutoff) ORDER BY day LIMIT %(page)s))
    RETURNING cluster_id
), dead AS (
    DELETE FROM outbox_cluster AS c
    WHERE c.id IN (SELECT cluster_id FROM old) AND NOT EXISTS (
        SELECT FROM outbox_clustercount AS k WHERE k.cluster_id = c.id AND k.day >= (SELECT day FROM cutoff))
    RETURNING c.id, c.bands
), loose AS (
    DELETE FROM outbox_band AS b USING (SELECT id, unnest(bands) AS hash FROM dead) AS d
    WHERE b.hash = d.hash AND b.cluster_id = d.id
)
SELECT count(*) AS n FROM old
"""
