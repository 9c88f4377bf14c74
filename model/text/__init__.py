"""Labels to prompts to vectors: sentence models, word vectors and text towers.

`source` loads the text model of a checkpoint; `prompts` applies the templates. Knows no video.
"""
