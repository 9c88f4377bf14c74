"""Mutated videos in real decode workers (`make fuzz`), and mutated bytes in the container walkers.

`mutations` changes small videos knowing their structure, `campaign` decodes them and judges the
outcomes.
"""
