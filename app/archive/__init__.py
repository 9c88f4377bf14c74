"""Kept analyses: videos that are analysed once and asked again, without file and without pixels.

`kept_videos` keeps and re-tags, `search` finds `spans` in `window_index`, `alerts` watches for
words, `span_examples` lets spans teach labels, `retention` deletes; the room `batch` makes archives
of Parquet files. Routes and the command line may come in; tables: `app.store.analyses`.
"""
