"""HTTP routes, one file for each subject: parse, call the service or the store, return.

`labels` has the routes for labels, `schemas` the JSON of all. `app.main` mounts the routers; the
command line uses the schemas.
"""
