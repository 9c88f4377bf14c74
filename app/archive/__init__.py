"""Kept analyses: videos that are analysed once and asked again, without file and without pixels.

`kept_videos` keeps and re-tags, `search` finds spans in `window_index`, `retention` deletes.
Routes and the command line may come in; the tables are in `app.store.analyses`.
"""
