"""HTTP routes, one file for each subject: parse, call the service or the store, return.

`schemas` has their JSON. `app.main` mounts the routers; the command line uses the schemas.
"""
