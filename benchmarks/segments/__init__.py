"""How well segments find when an action happens, and what they cost; see `__main__`.

`benchmarks.accuracy.leeway` and `benchmarks.page.picture` use its films.
"""
