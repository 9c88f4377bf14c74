"""Kept analyses: videos that are analysed once and asked again, without a file and without pixels.

`kept_videos` keeps and re-tags them, `retention` deletes old ones. Routes and the command line may
come in; the tables are in `app.store.analyses`.
"""
