"""JSON of requests and answers as pydantic models; their descriptions are part of OpenAPI.

Used by routes and the command line.
"""
