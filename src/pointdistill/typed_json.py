"""Frozen dataclasses back from the JSON that `dataclasses.asdict` made of them, guided by their type hints.

JSON knows no tuples, no integer keys and no classes; the hints do.
"""

import dataclasses
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def read_typed(kind: Any, value: Any, place: str = "") -> Any:
    """A value of the type `kind`: a dataclass of such, a tuple, list, dict, Literal, union, text, number or None.

    Fields that the JSON lacks take their defaults, so that files from before they existed can be read. Of a union of
    dataclasses it is the one with most of its fields there.

    Args:
        kind: a type, as in a type hint.
        value: what `json.loads` gave.
        place: where in the file, for messages.

    Raises:
        TypeError: it is none, with the place: another type, an unknown field, or one that is missing.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, place)
    if origin in (Union, UnionType):
        return _union(arguments, value, place)
    if origin is Literal:
        return _require(value in arguments, value, arguments, place)
    if origin is tuple:
        return _tuple(arguments, value, place)
    if origin is list:
        _require(isinstance(value, list), value, kind, place)
        return [read_typed(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        _require(isinstance(value, dict), value, kind, place)
        return {
            _key(arguments[0], name, place): read_typed(arguments[1], v, f"{place}.{name}") for name, v in value.items()
        }
    if kind is float:
        return _require(isinstance(value, int | float) and not isinstance(value, bool), value, kind, place)
    if kind is int:
        return _require(isinstance(value, int) and not isinstance(value, bool), value, kind, place)
    return _require(isinstance(value, NoneType if kind is None else kind), value, kind, place)


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    _require(isinstance(value, dict), value, kind, place)
    hints, fields = get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind) if field.init}
    where = place.removeprefix(".") or kind.__name__
    unknown = sorted(value.keys() - fields.keys())
    if unknown:
        raise TypeError(f"{where} has no field {unknown[0]!r}")
    missing = [name for name, field in fields.items() if name not in value and _needed(field)]
    if missing:
        raise TypeError(f"{where} lacks {missing[0]!r}")
    return kind(**{name: read_typed(hints[name], item, f"{place}.{name}") for name, item in value.items()})


def _needed(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    found, reasons = [], []
    for kind in kinds:
        try:
            found.append(read_typed(kind, value, place))
        except TypeError as error:
            reasons.append(str(error))
    if not found:
        raise TypeError("; ".join(reasons))
    return min(found, key=lambda one: len(dataclasses.fields(one)) if dataclasses.is_dataclass(one) else 0)


def _tuple(kinds: tuple[Any, ...], value: Any, place: str) -> tuple:
    _require(isinstance(value, list | tuple), value, kinds, place)
    if len(kinds) == 2 and kinds[1] is ...:
        kinds = (kinds[0],) * len(value)
    _require(len(kinds) == len(value), value, kinds, place)
    pairs = zip(kinds, value, strict=True)
    return tuple(read_typed(kind, item, f"{place}[{index}]") for index, (kind, item) in enumerate(pairs))


def _key(kind: Any, name: str, place: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        raise TypeError(f"{place.removeprefix('.')}: {name!r} is no {kind.__name__}") from None


def _require(right: bool, value: Any, kind: Any, place: str) -> Any:
    if not right:
        raise TypeError(f"{place.removeprefix('.') or 'the value'}: {value!r} is no {getattr(kind, '__name__', kind)}")
    return value
