"""Benchmarks: ratios in one run, since absolute times don't travel between machines."""
