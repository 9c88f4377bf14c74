"""Decoding in worker processes: the pool, the messages, the shared frame memory, the workers.

`decode_pool` is the entrance for the service. Workers import neither torch nor FAISS.
"""
