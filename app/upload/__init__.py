"""Request bodies on their way in: admission, multipart parsing, buffers that are sealed.

Routes receive bodies through `intake`; the service takes its permits from `admission`. This room
imports only timings, requests, settings and errors.
"""
