"""System checks: what must not start."""
