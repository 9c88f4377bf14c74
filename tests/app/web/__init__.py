"""The page, as a person uses it: a real browser on a real server, a tagger that knows colours."""
