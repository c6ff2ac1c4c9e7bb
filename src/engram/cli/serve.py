"""`engram serve` and `engram token`; see `engram.server`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli.output import Json, emit, say, table

TokenFile = Annotated[Path, typer.Argument(metavar="FILE", help="The token file; it holds hashes, not tokens.")]


def serve(
    brains: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BRAIN]...", help="Folders of brains, or NAME=FOLDER (default: the folder `brain`,"
                       " created if it does not exist)."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others than loopback require"
                                                     " --token-file.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 chooses a free"
                             " one.")] = 8420,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Require a token of this file (see `engram"
                                 " token`).")
    ] = None,
    shelf: Annotated[
        Path | None,
        typer.Option("--shelf", metavar="FOLDER", help="Folder of more brains; brains created over HTTP go there"
                     " (default: `brains` beside the first brain)."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Serve read-only, and follow the changes that another process makes.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Private key of the"
                             " certificate.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="Accept requests for this host name;"
                                 " repeatable.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", min=0.0, help="Most requests per second from one client;"
                                 " 0: no limit.")
    ] = None,
    body_limit: Annotated[
        int, typer.Option("--body-limit", metavar="MB", min=1, help="Largest request body in megabytes.")
    ] = 32,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log every request to stderr.")
    ] = True,
    open_page: Annotated[bool, typer.Option("--open", help="Open the web page in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Serve brains over HTTP, with a web page to teach them."""
    Settings, named, with_shelf, run = _server()
    folders = named(brains or ["brain"])
    home = shelf or next(iter(folders.values())).resolve().parent / "brains"
    settings = Settings(
        host=host, port=port, token_file=token_file, certificate=tls_cert, key=tls_key, follow=follow,
        allow_hosts=tuple(allow_host or ()), rate=rate, body_limit=body_limit * 1_000_000, access_log=access_log,
        folder=home,
    )
    settings.check()
    _make_missing(folders, may=not follow and not brains)
    served = with_shelf(folders, home)

    def started(address: str) -> None:
        if as_json:
            emit({"address": address, "brains": {name: str(path) for name, path in served.items()}})
        else:
            say(f"{', '.join(served)} at {address}")
        if open_page:
            typer.launch(address)

    run(folders, settings, started=started)


def add(
    file: TokenFile,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the person or program; recorded as the"
                                        " teacher in the history.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="What it may do; repeatable (default: teach). ask: predict;"
                                                      " teach: ask,"
                     " and teach; correct: teach, and correct what it taught; export: ask, see and download everything;"
                     " admin: everything."),
    ] = None,
    brain: Annotated[
        list[str] | None, typer.Option("--brain", metavar="NAME", help="Restrict it to this brain; repeatable"
                                 " (default: every brain).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token and show it, this once."""
    from engram.server.tokens import add_token

    scopes = scope or ["teach"]
    token = add_token(file, name, *scopes, brains=brain or None)
    if as_json:
        emit({"name": name, "scopes": scopes, "brains": brain or None, "token": token})
    else:
        say(token)


def show(file: TokenFile, as_json: Json = False) -> None:
    """List the names, scopes and brains of all tokens."""
    from engram.server.tokens import read_tokens

    tokens = read_tokens(file)
    if as_json:
        emit([{"name": token.name, "scopes": token.scopes, "brains": token.brains} for token in tokens])
    else:
        table(("name", "scopes", "brains"), [
            (token.name, ", ".join(token.scopes), "every" if token.brains is None else ", ".join(token.brains))
            for token in tokens
        ])


def remove(
    file: TokenFile,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.")],
    as_json: Json = False,
) -> None:
    """Remove a token; a running server refuses it within a second."""
    from engram.server.tokens import remove_token

    remove_token(file, name)
    if as_json:
        emit({"removed": name})
    else:
        say(f"Removed the token of {name}.")


def _server() -> tuple[Any, Any, Any, Any]:
    """The server's parts, or how to install them."""
    from engram.extras import check

    check("The server", "server")
    from engram.server.serving import serve as run
    from engram.server.settings import Settings
    from engram.server.shelf import named, with_shelf

    return Settings, named, with_shelf, run


def _make_missing(folders: dict[str, Path], *, may: bool) -> None:
    """Raises InputError for a folder that is no brain, unless it may be made."""
    from engram.brain import Brain
    from engram.learner import InputError

    for path in folders.values():
        if (path / "manifest.json").exists():
            continue
        if not may:
            raise InputError(f"No brain at {path}: teach one first (engram teach {path} …), or check the path.")
        Brain.create(path).close()
