"""The command line: ``pipeline``."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from pipeline.cli import (
    analyse,
    audit,
    build,
    collecting,
    compare,
    demo,
    doctor,
    embed,
    evaluate,
    export,
    importing,
    inspect,
    publishing,
    pull,
    push,
    report,
    retrieval,
    verify,
)
from pipeline.cli.output import say
from pipeline.errors import InterruptedRunError, PipelineError

app = typer.Typer(
    name="pipeline",
    help=(
        "Build, once, everything a medical vision-language robustness study needs; "
        "evaluate only from what was built."
    ),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
build.register(app)
embed.register(app)
evaluate.register(app)
report.register(app)
retrieval.register(app)
compare.register(app)
analyse.register(app)
export.register(app)
importing.register(app)
audit.register(app)
inspect.register(app)
verify.register(app)
push.register(app)
pull.register(app)
doctor.register(app)
collecting.register(app)
publishing.register(app)
demo.register(app)


def main() -> None:
    """Run the command line and exit with one of the documented codes."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except (PipelineError, InterruptedRunError) as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise InterruptedRunError
