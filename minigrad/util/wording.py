"""How a line of progress is written: numbers in few digits, parts that give way if need be."""

from collections.abc import Mapping, Sequence

_BAR = 20
"""The longest bar, in columns."""


def told(figures: Mapping[str, float]) -> list[str]:
    """Write figures with five digits.

    >>> told({"loss": 0.25, "mae": 123456.0})
    ['loss 0.25000', 'mae 1.2346e+05']
    """
    return [f"{name} {value:#.5g}" for name, value in figures.items()]


def ranked(figures: Mapping[str, float]) -> list[tuple[str, int]]:
    """Write figures, each with its rank: the losses matter most.

    >>> ranked({"loss": 0.25, "mae": 0.5})
    [('loss 0.25000', 1), ('mae 0.50000', 4)]
    """
    ranks = {"loss": 1, "val_loss": 2}
    return list(zip(told(figures), (ranks.get(name, 4) for name in figures), strict=True))


def fitted(parts: Sequence[tuple[str, int]], width: int, share: float | None = None) -> str:
    """Join parts into a line; where it's too long those of the highest rank give way.

    With `share`, how much is done, what room is left holds a bar after the first part.

    >>> parts = [("epoch 1/9", 0), ("12/80", 8), ("loss 0.25", 1), ("mae 0.5", 4)]
    >>> fitted(parts, 60, 0.3)
    'epoch 1/9  [======>.............]  12/80  loss 0.25  mae 0.5'
    >>> fitted(parts, 29, 0.3)
    'epoch 1/9  loss 0.25  mae 0.5'
    """
    parts = list(parts)
    while len(parts) > 1 and len("  ".join(text for text, _ in parts)) > width:
        worst = max(range(len(parts)), key=lambda index: (parts[index][1], index))
        del parts[worst]
    texts = [text for text, _ in parts]
    room = min(_BAR, width - len("  ".join(texts)) - 4)
    if share is not None and room >= 5:
        filled = round(share * room)
        bar = "=" * filled if filled == room else "=" * filled + ">"
        texts.insert(1, f"[{bar.ljust(room, '.')}]")
    return "  ".join(texts)[:width]


def short(number: float) -> str:
    """Write a number with two digits or three.

    >>> short(83.7), short(1234.0), short(56_789.0), short(2.5e6)
    ('84', '1.2k', '57k', '2.5M')
    """
    units = iter("kMGT")
    unit = ""
    while number >= 999.5:
        number, unit = number / 1000, next(units)
    return f"{number:.1f}{unit}" if unit and number < 9.95 else f"{number:.0f}{unit}"


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds, or with hours.

    >>> clock(7.2), clock(83.0), clock(3 * 3600 + 62.0)
    ('0:07', '1:23', '3:01:02')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
