"""The routes, by what they are for; `ROUTERS` is all of them, those first that are asked for most often."""

from engram.server.routes import asking, brains, correcting, events, inference, looking, operations, teaching

ROUTERS = (
    asking.router, inference.router, teaching.router, brains.router, correcting.router, looking.router, events.router,
    operations.router,
)
