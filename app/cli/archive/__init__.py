"""`kinolex archive`: tag an archive of videos, import it into a service, search it without one.

One file per command; `group` collects them for `program`, and `extra` says what to install. The
work is in `app.archive.batch`.
"""
