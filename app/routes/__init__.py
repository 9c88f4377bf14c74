"""HTTP routes, one file for each subject: parse, call the service or the store, return.

`app.main` mounts them. `schemas` holds their JSON.
"""
