"""Where each value of a composed configuration comes from: who set it last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from omegaconf import OmegaConf

from sandbox.compose import BUNDLES, SEVERAL, SINGLE, as_typed, bare, raw, settled_words, worded
from sandbox.core.error import SandboxError
from sandbox.places import Place, holders, named, places, trusted_by

Node = Mapping[str, Any]
Tree = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """What is composed with some of the words: `name` is the last of them."""

    name: str
    tree: Tree
    choices: Mapping[str, Any]


@dataclass(frozen=True)
class Composition:
    """A configuration beside what it would be with fewer of its words: `usual` has the same members, and neither preset
    nor experiment; `layers` begin with the defaults, and have one preset or experiment more each."""

    config: Tree
    choices: Mapping[str, Any]
    words: tuple[str, ...]
    places: tuple[Place, ...]
    usual: Tree
    layers: tuple[Layer, ...]
    trust: tuple[str, ...]

    def chosen_by(self, group: str) -> str:
        """Who chose the member of a group."""
        if group in map(_key, self.words):
            return "command line"
        by = "default"
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            by = after.name if before.choices.get(group) != after.choices.get(group) else by
        told = self.layers[-1].choices.get(group) == self.choices.get(group)
        return by if told else f"task={self.choices.get('task')}"

    def set_by(self, path: Sequence[str]) -> str:
        """Who set the value at a path."""
        here = ".".join(path)
        if any(here == key or here.startswith(f"{key}.") for key in map(_key, self.words) if key not in MEMBERS):
            return "command line"
        if _missing(self.config, path):
            return "class default"
        now = _at(self.config, path)
        if not _missing(self.usual, path) and _at(self.usual, path) == now:
            return self._file(path)
        setting = [
            layer.name for layer in self.layers if not _missing(layer.tree, path) and _at(layer.tree, path) == now
        ]
        return setting[0] if setting else self._file(path)

    def _file(self, path: Sequence[str]) -> str:
        """The file of the member that stands there."""
        name = path[1] if path[0] in SEVERAL and len(path) > 1 else self.choices.get(path[0])
        if path[0] not in MEMBERS or not isinstance(name, str):
            return "default"
        place = holders(path[0], self.places).get(name, [self.places[0]])[0]
        return f"{path[0]}/{name}.yaml" + ("" if place.kind == "house" else f" of {place.name}")

    def nodes(self) -> Iterator[tuple[str, Tree]]:
        """Each member, and where it stands."""
        single = [(group, self.config.get(group)) for group in SINGLE]
        several = [
            (f"{group}.{name}", node) for group in SEVERAL for name, node in (self.config.get(group) or {}).items()
        ]
        for where, node in (*single, *several):
            if isinstance(node, dict) and node.get("_target_", "???") != "???":
                yield where, node


MEMBERS = (*SINGLE, *SEVERAL)


def whole(arguments: Sequence[str]) -> Composition:
    """What a command line composes, with what tells where each value comes from; raises `ConfigError`."""
    words, folders = worded(bare(arguments)), named(arguments)
    config, choices = settled_words(words, folders)
    bundled = [word for word in words if _key(word) in BUNDLES]
    presets = [word for word in bundled if _key(word) == "preset"]
    layers = [("default", [f"{group}=[]" for group in BUNDLES])]
    layers += [(f"preset={choices['preset']}", [*presets, "experiment=[]"])] if _named(choices, "preset") else []
    layers += [(f"experiment={choices['experiment']}", bundled)] if _named(choices, "experiment") else []
    members = [f"{group}={choices[group]}" for group in SINGLE if _named(choices, group)]
    members += [f"{group}=[{','.join(config.get(group) or ())}]" for group in SEVERAL]
    return Composition(
        _tree(config), dict(choices), tuple(as_typed(words)), places(arguments),
        _tree(raw([*layers[0][1], *members], folders)),
        tuple(_layer(name, raw(only, folders)) for name, only in layers), tuple(trusted_by(words, folders)),
    )  # fmt: skip


def _named(choices: Mapping[str, Any], group: str) -> bool:
    return isinstance(choices.get(group), str)


def _layer(name: str, config: Any) -> Layer:
    return Layer(name, _tree(config), dict(config.hydra.runtime.choices))


def _tree(config: Any) -> Tree:
    found: Any = OmegaConf.to_container(OmegaConf.create(config), resolve=False)
    return {key: value for key, value in found.items() if key != "hydra"}


def _key(word: str) -> str:
    return word.lstrip("+").partition("=")[0]


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _missing(tree: Any, path: Sequence[str]) -> bool:
    held = _at(tree, path[:-1])
    return not isinstance(held, Mapping) or path[-1] not in held


# ---- as text --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """One value of a configuration, and who set it. `depth`: how many keys it lies below; a heading has no value."""

    key: str
    depth: int
    text: str = ""
    origin: str = ""


def show(words: Sequence[str]) -> tuple[str, str]:
    """The text of `sandbox show`: the configuration, each value with where it comes from; and what is wrong with the
    classes in it, if something is. Raises `ConfigError` for words that compose nothing."""
    found = whole(words)
    defaults, wrong = _class_defaults(found)
    values = list(_values(found, defaults))
    width = min(72, max(len(_line(value)) for value in values) + 2)
    lines = [f"{_line(value):{width}}# {value.origin}" if value.origin else _line(value) for value in values]
    return "\n".join(lines), wrong


def _line(value: Value) -> str:
    return f"{'  ' * value.depth}{value.key}:{' ' + value.text if value.text else ''}"


def _values(found: Composition, defaults: Mapping[str, Node]) -> Iterator[Value]:
    for key, value in found.config.items():
        if key in SINGLE and isinstance(value, Mapping):
            yield Value(key, 0, origin=_choice(found, key))
            yield from _below(found, (key,), {**value, **defaults.get(key, {})})
        elif isinstance(value, Mapping) and value:
            yield Value(key, 0)
            for name, node in value.items():
                yield Value(name, 1)
                yield from _below(found, (key, name), {**node, **defaults.get(f"{key}.{name}", {})})
        else:
            yield Value(key, 0, _text(value), found.set_by((key,)))


def _below(found: Composition, path: tuple[str, ...], node: Node) -> Iterator[Value]:
    for key, value in node.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield Value(str(key), len(path))
            yield from _below(found, here, value)
        else:
            yield Value(str(key), len(path), _text(value), found.set_by(here))


def _text(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


def _choice(found: Composition, group: str) -> str:
    name = found.choices.get(group)
    return f"{group}={name}, {found.chosen_by(group)}" if isinstance(name, str) else ""


def _class_defaults(found: Composition) -> tuple[dict[str, Node], str]:
    """{place: what its class adds to it}, and the first error of those that can't be read."""
    from sandbox.config import typed

    told, wrong = dict[str, Node](), ""
    for where, node in found.nodes():
        try:
            read = typed(node, where, trust=found.trust)
        except SandboxError as error:
            wrong = wrong or str(error)
            continue
        told[where] = {key: value for key, value in read.items() if key not in node}
    return told, wrong
