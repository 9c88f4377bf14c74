"""Routes for labels, label sets and the examples of a label: reading, writing and export.

`app.main` includes the router of `labels`. Other routes may use `writing.json_body`.
"""
