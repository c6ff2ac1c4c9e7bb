"""The routes, by what they are for; `engram.server.app` puts them together."""
