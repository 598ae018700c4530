"""What commands say of themselves: in one style, and with the names that the tables have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from pipeline.cli import app
from stages.corrupt.naming import BACKENDS
from stages.evaluate.schema import PROTOCOL_NAMES
from stages.exchange.formats import EXPORTS
from stages.prompt.rule_sets import RULE_SETS


def commands(command: Any = None, name: str = "pipeline") -> Iterator[tuple[str, Any]]:
    """Yield every visible command by its name."""
    command = command or get_command(app)
    for part, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {part}")
    if not hasattr(command, "commands") and not command.hidden:
        yield name, command


COMMANDS = dict(commands())


def help_of(command: str, parameter: str) -> str:
    """Return the help of an option or argument."""
    (found,) = (one for one in COMMANDS[command].params if one.name == parameter)
    return str(found.help)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_is(name: str) -> None:
    """In sentences: a capital or a name first, a full stop or the default last."""
    first = COMMANDS[name].help.strip().splitlines()[0]
    assert first[0].isupper()
    assert first[-1] in ".:"
    for parameter in COMMANDS[name].params:
        said = getattr(parameter, "help", None)
        assert said, parameter.name
        assert said.rstrip()[-1] in ".])", (parameter.name, said)


@pytest.mark.parametrize(
    ("command", "parameter", "names"),
    [
        ("pipeline eval", "protocols", PROTOCOL_NAMES),
        ("pipeline export", "form", EXPORTS),
        ("pipeline build prompts", "rules", RULE_SETS),
        ("pipeline build corruptions", "backend", BACKENDS),
    ],
)
def test_lists_in_helps_are_whole(command: str, parameter: str, names: Any) -> None:
    """Whatever a table has is named where it can be given."""
    said = help_of(command, parameter)
    assert [name for name in names if name not in said] == []
