"""Labels as clients send them: fields, files, warnings, and labels that are not stored.

Used by routes, the command line and the service; stored labels are in `app.store`.
"""
