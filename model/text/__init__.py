"""Convert labels to prompts and prompts to vectors: sentence models, word vectors, text towers.

`source` loads the text model of a checkpoint; `prompts` applies the templates. Nothing in this room
depends on videos.
"""
