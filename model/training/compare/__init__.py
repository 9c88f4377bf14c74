"""`kinolex train compare`: end-to-end training against frozen networks on the same classes.

`comparison` is the entrance. Shipping a checkpoint does not import this room.
"""
