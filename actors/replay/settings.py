"""Settings of actors, as a fork changes them: plain values of their classes, and of the job that they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from roost.streams import SettingsError

from ..actor import Actor
from ..mapreduce import MapReduce

PLAIN = (bool, int, float, str, timedelta)
NOT_SETTINGS = ("name", "code", "lanes", "apart")
"""What tells actors apart, and what an inbox keeps as it was made."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is to have another value: `owner` is an actor, or the job of several."""

    owner: str
    setting: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Change:
        """From `actor.setting=VALUE`. Raises SettingsError."""
        name, equals, value = text.partition("=")
        owner, dot, setting = name.strip().partition(".")
        if not (equals and dot and owner and setting):
            raise SettingsError(f"--set {text}: write ACTOR.SETTING=VALUE, such as reducer.concurrency=2")
        return cls(owner, setting, value.strip())

    @property
    def name(self) -> str:
        return f"{self.owner}.{self.setting}"


def changes_of(settings: Mapping[str, str]) -> list[Change]:
    """What a `run.forked` holds, as changes."""
    return [Change.parse(f"{name}={value}") for name, value in settings.items()]


def concerned(agents: Sequence[Actor], change: Change) -> list[str]:
    """The names of the actors that a change concerns: one, or all that do the job of that name. Raises SettingsError
    for a setting that none has, and for a value that it cannot have."""
    owners = [agent for agent in agents if agent.name == change.owner]
    job_owners = [agent for agent in agents if _job_name(agent) == change.owner]
    if not owners and not job_owners:
        named = sorted({agent.name for agent in agents} | {_job_name(agent) for agent in agents} - {""})
        raise SettingsError(f"no actor of the run is named {change.owner!r}: there are {', '.join(named)}")
    for owner in owners or job_owners[:1]:
        _check(owner if owners else _job_of(owner), change)
    return [agent.name for agent in owners or job_owners]


def changed(agents: Sequence[Actor], changes: Iterable[Change]) -> list[Actor]:
    """The actors with these settings; those that it does not concern as they are. Raises SettingsError."""
    made = list(agents)
    for change in changes:
        concerned(made, change)
        done: list[Any] = []
        for index, agent in enumerate(made):
            job = _job_of(agent)
            if agent.name == change.owner and not _is_of_job(agent, change.setting):
                made[index] = _with(agent, change)
            elif job is not None and change.owner in (agent.name, _job_name(agent)) and job not in done:
                _set_job(job, change)
                done.append(job)
    return made


def settings_of(owner: object) -> dict[str, Any]:
    """The settings of an actor or a job and their values, by name; those of plain parts behind a dot."""
    found: dict[str, Any] = {}
    for name in dir(type(owner)):
        value = getattr(owner, name)
        if name.startswith("_") or name in NOT_SETTINGS or isinstance(getattr(type(owner), name), property):
            continue
        if isinstance(value, PLAIN):
            found[name] = value
        elif is_dataclass(value) and not isinstance(value, type):
            found |= {
                f"{name}.{part.name}": getattr(value, part.name)
                for part in fields(value)
                if isinstance(getattr(value, part.name), PLAIN)
            }
    return found


def _check(owner: object, change: Change) -> None:
    known = settings_of(owner)
    job = _job_of(owner)
    if job is not None:
        known = settings_of(job) | known
    if change.setting not in known:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(known.items()))
        raise SettingsError(f"{change.owner} has no setting {change.setting!r}; it has {shown or 'none'}")
    _value(known[change.setting], change)
    if isinstance(owner, Actor) and not _is_of_job(owner, change.setting):
        _with(owner, change)  # its class says what cannot be


def _value(present: Any, change: Change) -> Any:
    """What the text means, as a value of the present one's type. Raises SettingsError."""
    kind: type[Any] = present.__class__
    try:
        if kind is timedelta:
            try:
                return timedelta(seconds=float(change.value.removesuffix("s")))
            except ValueError:
                pass
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        return adapter.validate_strings(change.value)
    except (ValidationError, OverflowError) as error:
        wanted = "a time, in seconds" if kind is timedelta else f"of type {kind.__name__}"
        raise SettingsError(
            f"--set {change.name}={change.value}: the value must be {wanted}; it is {_shown(present)} now"
        ) from error


def _with(agent: Actor, change: Change) -> Actor:
    """Another of its kind, with the setting: its class's own checks see it. Raises SettingsError."""
    kind = type(agent)
    name, dot, part = change.setting.partition(".")
    present = getattr(agent, name)
    value = replace(present, **{part: _value(getattr(present, part), change)}) if dot else _value(present, change)
    made: Any = type(kind.__name__, (kind,), {"name": agent.name, name: value, "__module__": kind.__module__})
    made.code = kind.code  # it decides as before
    twin = cast("Actor", made.__new__(made))
    twin.__dict__.update(vars(agent))
    twin.__dict__.pop(name, None)
    return twin


def _set_job(job: object, change: Change) -> None:
    setattr(job, change.setting, _value(getattr(job, change.setting), change))


def _job_of(agent: object) -> MapReduce | None:
    job = getattr(agent, "job", None)
    return job if isinstance(job, MapReduce) else None


def _job_name(agent: Actor) -> str:
    job = _job_of(agent)
    return "" if job is None else type(job).__name__.lower()


def _is_of_job(agent: Actor, setting: str) -> bool:
    job = _job_of(agent)
    return job is not None and setting in settings_of(job) and setting not in settings_of(agent)


def _shown(value: Any) -> str:
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)
