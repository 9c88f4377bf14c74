"""An untrusted file to video facts and RGB frames at chosen timestamps.

`reader` is the entrance. Decode workers import this room, so it loads neither torch nor FAISS.
"""
