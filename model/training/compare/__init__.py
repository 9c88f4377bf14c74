"""`kinolex train compare`: end-to-end training against frozen networks on the same classes.

`comparison` is the entry point. `train`, `run` and `ship` do not import this room.
"""
