"""Labels to prompts to vectors: sentence models, word vectors and text towers.

`source` finds the text model of a checkpoint.
"""
