"""Decoding in worker processes: typed messages, pools, sandbox, frame memory, worker programs.

`decode_pool` is the entrance for the service; both sides of the socket import `protocol`.
Workers import neither torch (but the GPU worker) nor FAISS, and nobody imports their programs.
"""
