"""Training: from manifests to a checkpoint that can be served. Nothing above imports it.

`run` is a whole run, `train` the trainer, `ship` writes the checkpoint.
"""
