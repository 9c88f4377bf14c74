"""How well segments find when an action happens, and what they cost; see `__main__`.

`benchmarks.leeway` and `benchmarks.page_picture` use its films.
"""
