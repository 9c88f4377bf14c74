"""Decoding in worker processes: typed messages, pools, sandbox, frame memory, worker programs.

`decode_pool` is the entrance for the service; both sides of the socket import `protocol`.
The decode worker imports neither torch nor FAISS; no module imports the programs of workers.
"""
