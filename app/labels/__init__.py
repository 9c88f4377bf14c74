"""Labels as callers write them: fields, files, warnings, and labels sent with a request.

Used by routes, the command line and the service; stored labels are in `app.store`.
"""
