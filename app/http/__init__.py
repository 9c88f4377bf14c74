"""HTTP around the routes: body limits, origin checks, entity tags, Server-Sent Events.

`app.main` installs the middleware; routes use the entity tags and event streams. No room below the
routes imports this one.
"""
