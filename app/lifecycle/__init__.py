"""Whether the service may be sent requests: its stop, and what its readiness depends on.

`app.http` stops the server with it, routes report it. This room knows no HTTP.
"""
