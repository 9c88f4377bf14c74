"""HTTP around the routes: body limits, origin checks, entity tags, Server-Sent Events.

Middleware is installed by `app.main`; routes use the entity tags and event streams. Nothing below
the routes imports this room.
"""
