"""How files go wrong: bits, bytes and pieces; and, in text, numbers and lines."""

import re
from collections.abc import Callable
from random import Random

EDGES = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
WORDS = (
    b"0", b"-1", b"1e400", b"nan", b"inf", b"-inf", b"1e-320", b"999999999999999999999", b"null", b"true", b"{}", b"[]",
    b'""', b"\x00", b"\xff\xfe", "é".encode(), b"../../x", b"/etc/passwd", b"%s", b"[[[[[[[[", b"\r\n", b"\t", b" ",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutated(content: bytes, others: list[bytes], random: Random) -> bytes:
    """One to five things done to a valid file; `others` are files of its kind, to take pieces of."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        content = random.choice(_TEXTUAL if _is_text(content) and random.random() < 0.7 else _BINARY)(
            content, others, random
        )
    return content


def _is_text(content: bytes) -> bool:
    return bool(content) and content[:2000].isascii() and b"\x00" not in content[:2000]


def _flip(content: bytes, _: list[bytes], random: Random) -> bytes:
    if not content:
        return b"\x00"
    changed = bytearray(content)
    changed[_place(content, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, _: list[bytes], random: Random) -> bytes:
    """A number where one may be declared, of one, two, four or eight bytes."""
    size = random.choice((1, 2, 4, 8))
    value = random.choice((*EDGES, random.getrandbits(8 * size))) % (1 << 8 * size)
    place = _place(content, random)
    return content[:place] + value.to_bytes(size, random.choice(("little", "big"))) + content[place + size :]


def _cut(content: bytes, _: list[bytes], random: Random) -> bytes:
    return content[: _place(content, random)]


def _remove(content: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.randrange(1, 40) :]


def _insert(content: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(content, random)
    inserted = random.choice((random.choice(WORDS), random.randbytes(random.randrange(1, 30))))
    return content[:place] + inserted + content[place:]


def _repeat(content: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(content, random)
    piece = content[place : place + random.randrange(1, 200)]
    return content[:place] + piece * random.choice((2, 3, 50)) + content[place:]


def _splice(content: bytes, others: list[bytes], random: Random) -> bytes:
    other = random.choice(others)
    return content[: _place(content, random)] + other[_place(other, random) :]


def _number(content: bytes, _: list[bytes], random: Random) -> bytes:
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    chosen = random.choice(found[:20] if random.random() < 0.5 else found)
    value = random.choice(
        (random.choice(WORDS), str(random.choice(EDGES)).encode(), str(-random.choice(EDGES)).encode())
    )
    return content[: chosen.start()] + value + content[chosen.end() :]


def _lines(content: bytes, _: list[bytes], random: Random) -> bytes:
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    way = random.randrange(4)
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(place, lines[random.randrange(len(lines))])
    elif way == 2:
        random.shuffle(lines)
    else:
        lines[place] = random.choice(WORDS)
    return b"\n".join(lines)


def _word(content: bytes, _: list[bytes], random: Random) -> bytes:
    """A word of the file for another one, quotes and all."""
    found = list(re.finditer(rb'"[^"\n]{0,60}"|[A-Za-z_]+', content))
    if not found:
        return content
    first, second = random.choice(found), random.choice(found)
    value = second.group() if random.random() < 0.5 else random.choice(WORDS)
    return content[: first.start()] + value + content[first.end() :]


def _place(content: bytes, random: Random) -> int:
    """Anywhere, and every other time near the beginning, where sizes are declared."""
    if not content:
        return 0
    return random.randrange(min(len(content), 200) if random.random() < 0.5 else len(content))


Mutation = Callable[[bytes, list[bytes], Random], bytes]
_BINARY: tuple[Mutation, ...] = (_flip, _flip, _overwrite, _overwrite, _cut, _remove, _insert, _repeat, _splice)
_TEXTUAL: tuple[Mutation, ...] = (_number, _number, _lines, _word, _cut, _flip, _insert, _repeat, _splice)
