"""Image files damaged by chance, from a seed."""

import random


def damage(data: bytes, seed: int) -> bytes:
    """The file with one to three wounds: bytes changed, lost, doubled, or the end cut off."""
    draw = random.Random(seed)
    wounded = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        _wound(wounded, draw)
    return bytes(wounded)


def _wound(data: bytearray, draw: random.Random) -> None:
    kind = draw.choice(("bit", "byte", "marker", "lose", "double", "cut", "zeros", "header"))
    place = draw.randrange(max(1, len(data)))
    length = draw.choice((1, 2, 7, 64, 500))
    if kind == "bit":
        data[place : place + 1] = bytes(
            b ^ (1 << draw.randrange(8)) for b in data[place : place + 1]
        )
    elif kind == "byte":
        data[place : place + 1] = bytes([draw.randrange(256)])
    elif kind == "marker":
        data[place : place + 2] = bytes([0xFF, draw.randrange(0xC0, 0x100)])
    elif kind == "lose":
        del data[place : place + length]
    elif kind == "double":
        data[place:place] = data[place : place + length]
    elif kind == "cut":
        del data[place:]
    elif kind == "zeros":
        data[place : place + length] = bytes(min(length, len(data) - place))
    else:  # within the header, where most bytes mean something
        place = draw.randrange(max(1, min(len(data), 640)))
        data[place : place + 1] = bytes([draw.randrange(256)])
