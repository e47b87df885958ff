"""Commands as Roost shows them: the group that imports a command when it is used, and help in sections."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, cast

import click
from click.exceptions import NoSuchCommand

from .command_table import SECTIONS, TABLE


class CommonOption(click.Option):
    """An option that every command has. Help lists it apart."""


class Command(click.Command):
    """A command whose help lists its own options first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        own = [option for option in options if not isinstance(option, CommonOption) and "--help" not in option.opts]
        common = [option for option in options if option not in own]
        for title, listed in (("Options", own), ("Common options", common)):
            _write_section(formatter, title, [record for each in listed if (record := each.get_help_record(ctx))])


class Group(click.Group):
    """A command with commands of its own, which have the options. Theirs may stand before their name, too; without a
    name it is `default`, where there is that."""

    default = "list"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they were made, which is how they are used

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.begin_with_name(args))

    def begin_with_name(self, args: list[str]) -> list[str]:
        """`--actor A show 3f` as `show --actor A 3f`."""
        valued = {
            name for command in self.commands.values() for option in command.params if not _is_flag(option)
            for name in option.opts
        }  # fmt: skip
        is_value = False
        for at, word in enumerate(args):
            if not is_value and not word.startswith("-"):
                return [word, *args[:at], *args[at + 1 :]]
            is_value = not is_value and word in valued
        is_help = set(args) & set(self.get_help_option_names(click.Context(self)))
        if self.default in self.commands or is_help:
            return args if is_help else [self.default, *args]
        return args or ["--help"]


def _is_flag(option: click.Parameter) -> bool:
    return not isinstance(option, click.Option) or option.is_flag or option.count


class LazyGroup(click.Group):
    """`roost`: knows its commands by the table, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in TABLE.values() if entry.exists]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = TABLE.get(cmd_name)
        if entry is None or not entry.exists:
            return None
        return cast(click.Command, getattr(import_module(entry.module), entry.attribute))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:  # click looks for similar names among commands that are imported
            known = self.list_commands(ctx)
            raise NoSuchCommand(error.command_name, possibilities=known, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, entries in SECTIONS.items():
            _write_section(formatter, title, [(entry.name, entry.help) for entry in entries if entry.exists])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        _write_section(formatter, "Options", records)


def _write_section(formatter: click.HelpFormatter, title: str, records: Iterable[Any]) -> None:
    listed = list(records)
    if listed:
        with formatter.section(title):
            formatter.write_dl(listed)
