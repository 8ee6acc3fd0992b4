"""Clients of consulta: over HTTP, over the bus, and on the command line."""
