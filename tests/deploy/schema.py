"""The types of Grafana's dashboards, as its own package of them says."""

import enum
import json
import types
import typing
from collections.abc import Iterator

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()


def faults(text: str) -> Iterator[str]:
    """What is wrong in the text of a dashboard: keys that there are not, and values of another type."""
    yield from _faults_of(json.loads(text), Dashboard, "")


def _faults_of(shape: dict[str, typing.Any], model: typing.Any, place: str) -> Iterator[str]:
    read = model.from_json(shape)
    yield from _lost(shape, json.loads(JSONEncoder().encode(read)), place)
    yield from _of_type(read, model, place)


def _is_model(kind: object) -> bool:
    """Whether it is one of the package's own classes."""
    return isinstance(kind, type) and hasattr(kind, "from_json")


def _lost(before: typing.Any, after: typing.Any, place: str) -> Iterator[str]:
    """What the package did not take up."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _lost(value, after[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is unknown"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _lost(one, other, f"{place}[{number}]")
    elif before != after:
        yield f"{place} is {before!r} and was read as {after!r}"


def _of_type(value: typing.Any, wanted: typing.Any, place: str) -> Iterator[str]:
    """Where values are not what the annotations of the package's classes say."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if isinstance(value, dict) and _is_model(wanted):
        # The package leaves what stands in lists as it is.
        yield from _faults_of(value, wanted, place)
    elif _is_model(type(value)):
        # A field that is an object of the plugin's own is of the plugin's own class.
        for name, hint in typing.get_type_hints(type(value)).items():
            yield from _of_type(getattr(value, name), hint, f"{place}.{name}")
    elif origin in (typing.Union, types.UnionType):
        if value is not None or types.NoneType not in inner:
            yield from min(([*_of_type(value, one, place)] for one in inner if one is not types.NoneType), key=len)
    elif origin in (list, dict) and isinstance(value, origin):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _of_type(one, inner[-1], f"{place}[{key}]")
    elif not _is_plain(value, wanted):
        yield f"{place} is {value!r}, not {wanted}"


def _is_plain(value: object, wanted: typing.Any) -> bool:
    if wanted in (object, typing.Any):
        return True
    if typing.get_origin(wanted) is typing.Literal:
        return value in typing.get_args(wanted)
    if not isinstance(wanted, type):
        return False
    if issubclass(wanted, enum.Enum):
        return value in {one.value for one in wanted}
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float if wanted is float else wanted)
