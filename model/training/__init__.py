"""Training: from manifests of samples to a checkpoint that can be served.

`run` is a whole run, `train` the trainer, `ship` writes the checkpoint. Only commands and
benchmarks import this package; the rest of the library does not.
"""
