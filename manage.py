#!/usr/bin/env python
"""Django's command line, on the installation's settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    import config.celery  # noqa: F401 - commands that let mail go kick the workers through its app

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
