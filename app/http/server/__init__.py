"""uvicorn's server in one or several processes, which stop without losing a request.

`kinolex serve` comes in through `serve`.
"""
