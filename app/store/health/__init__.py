"""Whether the database can be read and written: its file, its errors, its state.

For `app.store` itself; other rooms import the errors from there.
"""
