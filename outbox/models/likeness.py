"""What was said to whom: clusters of like content, how they are found, and who got one of them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from outbox.models.agents import Agent


class Cluster(models.Model):
    """Like content, known by the first message that said it. Its key is a scope of the kill switch."""

    id = models.BigIntegerField(primary_key=True)
    sketch = models.BinaryField()
    bands = ArrayField(models.BigIntegerField(), help_text="What it is found by, as far as others left it.")

    def __str__(self) -> str:
        return f"cluster {self.pk}"


class Band(models.Model):
    """One hashed triple of words of a cluster. A triple that few have is worth an index; what many say is not."""

    pk = models.CompositePrimaryKey("hash", "slot")
    hash = models.BigIntegerField()
    slot = models.PositiveSmallIntegerField()
    # no database key: a cluster is forgotten with its bands, and an insert would lock its row
    cluster = models.ForeignKey(
        Cluster, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )

    def __str__(self) -> str:
        return f"band {self.hash}"


class Print(models.Model):
    """The ``nth`` time that a person was written to with a cluster's content. The person is a keyed hash.

    The number is the guard: of two messages at once that both want to be the next, the second finds it taken. Without
    a ``delivery`` it was only tried.
    """

    pk = models.CompositePrimaryKey("cluster_id", "person", "nth")
    cluster = models.ForeignKey(
        Cluster, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    person = models.BinaryField()
    nth = models.PositiveIntegerField()
    at = models.DateTimeField()
    agent = models.ForeignKey(
        Agent, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    delivery_id = models.UUIDField(null=True)
    enclosed = models.BinaryField()
    sketch = models.BinaryField()

    class Meta:
        indexes = [
            # read: what a person was written to, newest first
            models.Index(fields=["person", "at"], name="print_of_person"),
            models.Index(fields=["at"], name="print_age"),  # forget: the oldest first
        ]

    def __str__(self) -> str:
        return f"print {self.nth} of cluster {self.cluster_id}"


class ClusterCount(models.Model):
    """People who got a cluster's content for the first time in a window, by UTC day.

    Counted in shards, by backend: a flood of one cluster would queue up behind a single row.
    """

    pk = models.CompositePrimaryKey("cluster_id", "day", "shard")
    cluster = models.ForeignKey(
        Cluster, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    day = models.DateField()
    shard = models.PositiveSmallIntegerField()
    people = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["day"], name="cluster_count_age")]  # forget: the oldest first

    def __str__(self) -> str:
        return f"{self.people} people of cluster {self.cluster_id}"
