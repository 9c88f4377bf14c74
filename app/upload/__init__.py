"""Receiving of request bodies: admission, multipart parsing, buffers that are sealed.

Routes receive bodies through `intake`; the service acquires permits from `admission`. This room
imports only timings, requests, settings and errors.
"""
