"""Sharing processor cores among threads: torch's number of threads, and scheduler time slices.

Every room and the decode workers may import it: it loads neither torch nor the rest of Kinolex.
"""
