"""Who may do what: API keys, their scopes, label sets and quotas, checked before a body is read.

`app.main` installs `Gate`, `app.startup` opens `Access`, and routes ask the `Grant` of a request.
The service charges video to the surrounding `meter`. No room below the service imports this one.
"""
