"""The `engram` program: the table of its commands, and what happens when one is refused.

Exit codes: 0 done, 1 refused (the message names the fix), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer

from engram import __version__
from engram.cli.output import INTERRUPTED, Interrupted, failed

# Where each command is, in the order of the help text. A value "module:function" is one command, a table
# is a group of them. These modules are imported for `engram --help`, so whatever is heavy (numpy, rich,
# the rooms below) they import inside their functions.
Commands = dict[str, "str | Commands"]
COMMANDS: Commands = {
    "teach": "engram.cli.teach:teach",
    "predict": "engram.cli.brain:predict",
    "listen": "engram.cli.listen:listen",
    "teach-boxes": "engram.cli.locate:teach_boxes",
    "locate": "engram.cli.locate:locate",
    "unknowns": "engram.cli.brain:unknowns",
    "name": "engram.cli.brain:name",
    "forget": "engram.cli.brain:forget",
    "rename": "engram.cli.brain:rename",
    "consolidate": "engram.cli.brain:consolidate",
    "meld": "engram.cli.meld:meld",
    "prove": "engram.cli.meld:prove",
    "info": "engram.cli.brain:info",
    "alpha": "engram.cli.alpha:alpha",
    "examples": "engram.cli.history:examples",
    "audit": "engram.cli.audit:audit",
    "why": "engram.cli.audit:why",
    "relabel": "engram.cli.history:relabel",
    "history": "engram.cli.history:history",
    "undo": "engram.cli.history:undo",
    "rollback": "engram.cli.history:rollback",
    "diff": "engram.cli.history:diff",
    "copy": "engram.cli.keeping:copy",
    "export": "engram.cli.keeping:export",
    "import": "engram.cli.keeping:import_",
    "verify": "engram.cli.keeping:verify",
    "repair": "engram.cli.keeping:repair",
    "serve": "engram.cli.serve:serve",
    "token": {
        "add": "engram.cli.serve:add",
        "list": "engram.cli.serve:show",
        "remove": "engram.cli.serve:remove",
    },
    "backbone": {
        "list": "engram.cli.backbone:list_backbones",
        "import": "engram.cli.backbone:import_backbone",
        "inspect": "engram.cli.backbone:inspect_backbone",
        "make": "engram.cli.backbone:make_backbone",
        "pull": "engram.cli.backbone:pull_backbone",
        "pretrain": "engram.cli.pretrain:pretrain_backbone",
        "evaluate": "engram.cli.evaluate:evaluate_backbone",
    },
    "evaluate": "engram.cli.continual:evaluate",
    "demo": "engram.cli.demo:demo",
    "experiment": {
        "list": "engram.cli.experiment:list_experiments",
        "settings": "engram.cli.experiment:show_settings",
        "run": "engram.cli.experiment:run_experiment",
        "figures": "engram.cli.experiment:collect_figures",
        "check": "engram.cli.experiment:check_figures",
    },
}

ABOUT = "Teach classifiers that keep learning after they are deployed."

GROUPS = {
    "backbone": "Manage the networks that turn inputs into features.",
    "experiment": "Repeat the measurements behind the published figures.",
    "token": "Manage the access tokens of `engram serve`.",
}


def build(commands: Commands = COMMANDS, about: str = "") -> typer.Typer:
    """The program, or one of its groups, out of the table."""
    app = typer.Typer(
        help=about or ABOUT,
        no_args_is_help=True,
        rich_markup_mode=None,  # rich would double the time that --help takes
        pretty_exceptions_enable=False,
        add_completion=not about,
    )
    for name, target in commands.items():
        if isinstance(target, str):
            with suppress(NotInstalled):
                app.command(name)(_command(target))
        else:
            app.add_typer(build(target, GROUPS[name]), name=name)
    if not about:
        app.callback(help=ABOUT)(_program)
    return app


class NotInstalled(Exception):
    """A command measures with the lab, which is left out of small devices."""


def _command(target: str) -> Callable[..., None]:
    module, _, function = target.partition(":")
    try:
        found: Callable[..., None] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("engram.lab"):
            raise NotInstalled from error
        raise
    return found


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are told on stderr."""
    arguments = list(arguments)
    as_json = "--json" in arguments
    try:
        code: Any = build()(args=arguments, prog_name="engram", standalone_mode=False)
        if code == INTERRUPTED:  # all that typer leaves of Ctrl-C
            raise Interrupted
        return code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        return failed(error, as_json)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"engram {__version__}\n")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The `engram` command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # help texts too are printed on terminals that cannot show all of them
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
