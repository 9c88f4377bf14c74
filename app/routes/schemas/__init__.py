"""JSON of requests and answers, as pydantic models; their descriptions become the OpenAPI document.

Used by routes and the command line.
"""
