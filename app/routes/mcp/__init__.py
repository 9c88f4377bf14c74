"""`/mcp`: the service as tools for language models (Model Context Protocol, streamable HTTP).

`tools` says what each tool takes, does and answers; `protocol` speaks the protocol through the
package `mcp` of the extra `mcp`; `endpoint` is the route, which `app.main` adds.
"""
