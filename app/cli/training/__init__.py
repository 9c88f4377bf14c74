"""`kinolex train`, `evaluate`, `data` and `checkpoint`; `options` has what they share.

Only these commands import `model.training`, when they run. `program` imports this room.
"""
