"""A request's body on its way in: admission, multipart parsing, the sealed file.

`intake` is the entrance for routes; the service takes its permits from `admission`.
"""
