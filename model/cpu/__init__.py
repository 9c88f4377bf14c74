"""How threads share processor cores: torch's number of threads, and scheduler time slices.

Every room and decode workers may come in: importing it loads neither torch nor the rest of Kinolex.
"""
