"""Benchmarks of labels: writes, search among a million, start, kills, accuracy."""
