"""Routes in the shape of other APIs, for programs that are written for those.

`embeddings` is OpenAI's `/v1/embeddings`, whose router `app.main` mounts. Routes about videos give
their answers as `subtitles` where a client accepts those.
"""
