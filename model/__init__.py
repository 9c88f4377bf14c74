"""Kinolex, the library: a video and words in, tags out.

Names are loaded on first use (Scientific Python's SPEC 1), so that `import
model.video.reader` in a decode process loads neither torch nor FAISS. `__init__.pyi` lists the
public names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
