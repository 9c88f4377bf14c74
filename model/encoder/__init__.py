"""Frames to embeddings: preprocessing, networks, numeric precision and runtimes.

`encoder` defines the `Encoder` protocol, `networks` the networks; `runtime` selects what runs them.
"""
