"""Decoding in worker processes: typed messages, pools, sandbox, frame memory, worker programs.

The service decodes through `decode_pool`; `app.startup` opens the pools. Both sides of the socket
import `protocol`. The decode worker imports neither torch nor FAISS. No module of the service
imports the worker programs, `worker` and `gpu_worker`: the pools run them as processes.
"""
