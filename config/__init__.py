"""The installation: settings, URLs, the Celery app and the embedded parts. Nobody imports it."""
