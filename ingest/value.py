# SPDX-License-Identifier: BSD-3-Clause
"""``Value``: the base of values of which there are many kinds."""

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """A frozen dataclass. What ``dataclass(frozen=True)`` would write and compile anew for each
    kind is written here once: the settings and the ledger have fifty kinds, and the pipe, which
    starts anew for each mail, spent a tenth of its time on them."""

    _defaults: ClassVar[dict[str, Any]]
    _makers: ClassVar[dict[str, Any]]
    _names: ClassVar[frozenset[str]]
    _compared: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        dataclass(init=False, repr=False, eq=False)(cls)
        declared = fields(cls)  # type: ignore[arg-type]
        cls._defaults = {each.name: each.default for each in declared if _is_set(each.default)}
        cls._makers = {
            each.name: each.default_factory for each in declared if _is_set(each.default_factory)
        }
        cls._names = frozenset(cls.__match_args__)  # type: ignore[attr-defined]
        cls._compared = tuple(each.name for each in declared if each.compare)

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__  # type: ignore[attr-defined]
        state = self.__dict__
        if self._defaults:
            state.update(self._defaults)
        if values:
            state.update(zip(names, values))  # noqa: B905  see below
        if named:
            state.update(named)
        if self._makers:
            for name, make in self._makers.items():
                if name not in state:
                    state[name] = make()
        if (
            len(state) != len(names)
            or len(values) > len(names)
            or not named.keys() <= self._names
            or (values and named and not named.keys().isdisjoint(names[: len(values)]))
        ):
            kind, given = type(self).__name__, [*map(repr, values), *named]
            raise TypeError(f"{kind} is made of {', '.join(names)}, not of {', '.join(given)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        return tuple(map(vars(self).__getitem__, self._compared))

    def __repr__(self) -> str:
        shown = (
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)  # type: ignore[arg-type]
            if each.repr
        )
        return f"{type(self).__name__}({', '.join(shown)})"


_Kind = TypeVar("_Kind", bound=Value)


def replace(value: _Kind, **changes: Any) -> _Kind:
    """As ``dataclasses.replace``, at a third of its time: a mail's decision is made in many steps,
    each of them another value."""
    made = object.__new__(type(value))
    names, known, state = value.__match_args__, value.__dict__, made.__dict__  # type: ignore[attr-defined]
    for name in names:
        state[name] = known[name]
    state.update(changes)
    if len(state) != len(names):
        unknown = ", ".join(sorted(changes.keys() - value._names))
        raise TypeError(f"{type(value).__name__} has no {unknown}")
    return made


def _is_set(default: object) -> bool:
    return default is not MISSING
