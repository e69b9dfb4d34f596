"""What a user would pick instead, each at its best on the same sink, and two loops that mark the floor.

A rival that cannot be installed is no failure: its line says so. Nothing here is imported by the product.
"""
