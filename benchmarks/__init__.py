"""Measurements that are too long for the test suite; each prints one JSON line last."""
