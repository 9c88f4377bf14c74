"""How fast: the service against a bound and against rivals, its start, its parts, what grows."""
