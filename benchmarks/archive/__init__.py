"""Measures kept analyses, their search, and jobs; run by `make bench-archive`."""
