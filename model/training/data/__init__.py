"""Training data: manifests, data set layouts, archives, shards, and batches of frames.

Imports no other room of training but the configuration.
"""
