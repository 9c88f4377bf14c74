"""Whether tags are right and scores honest, on the real clips in ../shared."""
