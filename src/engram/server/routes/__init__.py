"""The routes, by what they are for; `ROUTERS` is all of them."""

from engram.server.routes import asking, brains, correcting, events, inference, looking, operations, teaching

ROUTERS = (
    brains.router, teaching.router, asking.router, correcting.router, looking.router, events.router, inference.router,
    operations.router,
)
