"""Training data: manifests, layouts of public data sets, shards, and batches of frames.

Every other room of training may import it; it imports no other room of training.
"""
