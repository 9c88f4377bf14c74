"""Encoding in threads: the batching queue, and the switch to a faster runtime.

The service queues frames in `batcher`; `app.startup` starts `runtime_switch`.
"""
