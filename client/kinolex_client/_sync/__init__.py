# Written by client/make_sync.py; edit `_async` instead.
"""The client that blocks, written from `_async`."""
