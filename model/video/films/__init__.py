"""How a film is divided: into windows, which are tagged, and into chunks, which are encoded.

The tagger and its callers may come in; nothing is decoded here.
"""
