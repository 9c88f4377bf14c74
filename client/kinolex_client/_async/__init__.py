"""The client itself. The room `_sync` is written from this one by `make_sync.py`."""
