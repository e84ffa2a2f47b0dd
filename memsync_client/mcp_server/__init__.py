"""Tools over MCP: what a program with a model may do with a vault. A thin face of the library."""
