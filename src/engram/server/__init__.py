"""Brains over HTTP: teach, ask and correct them from any language, and the page. Needs the extra `[server]`."""
