"""Models whose library processes the frames, and whose network another runtime computes.

Only `model.encoder.runtime` uses it.
"""
