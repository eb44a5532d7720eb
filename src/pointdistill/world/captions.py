"""What a frame shows in a few words, out of a small grammar; and back from the words to the classes they name.

Example: "a bedroom with a blue bed next to a brown cabinet and two pictures on the wall".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8, UInt16

from pointdistill.world.classes import CLASSES
from pointdistill.world.palette import pick
from pointdistill.world.rooms import Instance, Room

LEAST_SHARE = 0.012
"""Share of the image's pixels from which a thing is worth a word."""
MOST_WORDS = 24
MOST_PHRASES = 4

_PLURALS = {name: name + "s" for name in CLASSES} | {"bookshelf": "bookshelves"}
_COUNTS = {2: "two", 3: "three", 4: "four"}
_HANGING = ("picture", "window", "curtain", "door")
_OPENINGS = (
    "a {room} with {things}",
    "{things} in a {room}",
    "there is {things} in the {room}",
    "this {room} has {things}",
)
_EMPTY = ("a corner of a {room}", "an empty wall of a {room}", "the floor of a {room}")


@dataclass(frozen=True)
class _Phrase:
    """Things of one class that are seen together."""

    members: tuple[Instance, ...]
    share: float
    columns: tuple[int, int]
    bottom: int

    @property
    def class_name(self) -> str:
        return self.members[0].class_name


def caption(
    room: Room,
    nyu40: UInt8[np.ndarray, "rows columns"],
    instance: UInt16[np.ndarray, "rows columns"],
    generator: np.random.Generator,
) -> str:
    """One sentence about the most prominent things in a frame: lower case, at most 24 words.

    Args:
        room: whose instances the image shows.
        nyu40: classes of the pixels (only things, never the shell, are named).
        instance: instance ids of the pixels, 0 = shell.
        generator: chooses among the grammar's forms.
    """
    phrases = _visible(room, instance)[:MOST_PHRASES]
    kind = room.kind
    if not phrases:
        return pick(generator, _EMPTY).format(room=kind)
    opening = pick(generator, _OPENINGS)
    while True:
        things = _list(phrases, generator)
        plural = not things.startswith(("a ", "an "))
        text = opening.replace("there is", "there are" if plural else "there is").format(room=kind, things=things)
        text = text.replace("a office", "an office")
        if len(text.split()) <= MOST_WORDS or len(phrases) == 1:
            return text
        phrases = phrases[:-1]


def _visible(room: Room, instance: np.ndarray) -> list[_Phrase]:
    """Classes with large enough instances in the image, the largest first."""
    shares = np.bincount(instance.ravel(), minlength=len(room.instances) + 1) / instance.size
    groups: dict[str, list[Instance]] = {}
    for thing in room.instances:
        if shares[thing.id] >= LEAST_SHARE:
            groups.setdefault(thing.class_name, []).append(thing)
    phrases = []
    for members in groups.values():
        members.sort(key=lambda thing: -shares[thing.id])
        mask = instance == members[0].id
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        share = float(sum(shares[thing.id] for thing in members))
        phrases.append(_Phrase(tuple(members), share, (int(columns[0]), int(columns[-1])), int(rows[-1])))
    return sorted(phrases, key=lambda phrase: -phrase.share)


def _name(phrase: _Phrase, generator: np.random.Generator) -> str:
    """ "a red chair", "two chairs", "an orange sofa"."""
    colours = {thing.colour_name for thing in phrase.members}
    colour = f"{colours.pop()} " if len(colours) == 1 and generator.uniform() < 0.65 else ""
    count = len(phrase.members)
    if count == 1:
        words = colour + phrase.class_name
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    return f"{_COUNTS.get(count, 'several')} {colour}{_PLURALS[phrase.class_name]}"


def _list(phrases: Sequence[_Phrase], generator: np.random.Generator) -> str:
    """The things, with one relation where one holds."""
    names = [_name(phrase, generator) for phrase in phrases]
    pair = _relation(phrases)
    if pair is not None:
        i, j, relation = pair
        joined = f"{names[i]} {relation} {names[j]}"
        names = [joined, *(name for k, name in enumerate(names) if k not in (i, j))]
    if phrases[-1].class_name in _HANGING[:2] and (pair is None or len(phrases) - 1 not in pair[:2]):
        names[-1] += " on the wall" if generator.uniform() < 0.7 else ""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _relation(phrases: Sequence[_Phrase]) -> tuple[int, int, str] | None:
    """The pair (i, j, words between) of which the most telling thing can be said."""
    found = []
    for i in range(len(phrases)):
        for j in range(len(phrases)):
            if i != j and (words := _between(phrases[i], phrases[j])):
                found.append((words == "next to", i + j, i, j, words))
    return min(found)[2:] if found else None


def _between(first: _Phrase, second: _Phrase) -> str | None:
    a, b = first.members[0], second.members[0]
    if {first.class_name, second.class_name} == {"sink", "counter"} and _gap(a, b) <= 0.01:
        return "in" if first.class_name == "sink" else None
    if first.class_name == "chair" and second.class_name in ("table", "desk") and _gap(a, b) < 0.5:
        return "around" if len(first.members) > 2 else "at"
    if first.class_name in _HANGING or second.class_name in _HANGING[:2] or _gap(a, b) > 0.5:
        return None
    if "shower curtain" in (first.class_name, second.class_name):
        return "next to"
    overlap = min(first.columns[1], second.columns[1]) - max(first.columns[0], second.columns[0])
    narrow = min(first.columns[1] - first.columns[0], second.columns[1] - second.columns[0])
    if overlap > 0.6 * narrow and first.bottom > second.bottom:
        return "in front of"
    return "next to"


def _gap(a: Instance, b: Instance) -> float:
    """Metres between the footprints' boxes."""
    apart = np.abs(a.centre - b.centre)[:2] - (a.size + b.size)[:2] / 2
    return float(np.linalg.norm(np.maximum(apart, 0)))


_WORDS = {form: name for name in CLASSES for form in (name, _PLURALS[name])}
_PATTERN = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)) + r")\b")


def mentioned_classes(text: str) -> set[str]:
    """The classes that a caption names, in the singular; words outside the grammar are passed over."""
    return {_WORDS[word] for word in _PATTERN.findall(text.lower())}
