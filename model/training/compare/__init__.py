"""`kinolex train compare`: end-to-end training against frozen networks on the same classes.

`comparison` is the entry point. Only commands and benchmarks import this room; `train`, `run` and
`ship` do not.
"""
