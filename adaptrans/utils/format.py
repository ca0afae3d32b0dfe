"""Numbers as a reader takes them in: bytes, times, counts. No dependencies."""

from __future__ import annotations


def size(number: float) -> str:
    """Bytes in the largest binary unit that they fill.

    Example:
        >>> size(900), size(12 * 2**10), size(420 * 2**20), size(5.25 * 2**30)
        ('900 B', '12 KiB', '420 MiB', '5.2 GiB')
    """
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= length:
            value = number / length
            return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """A length of time in the two largest units.

    Example:
        >>> duration(9.4), duration(75), duration(3725), duration(200_000)
        ('9 s', '1 min 15 s', '1 h 2 min', '2 d 8 h')
    """
    whole = round(seconds)
    for (unit, length), (smaller, part) in (
        (("d", 86_400), ("h", 3_600)),
        (("h", 3_600), ("min", 60)),
        (("min", 60), ("s", 1)),
    ):
        large, small = divmod(round(whole / part), length // part)
        if large:
            return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
    return f"{whole} s"


def thousands(number: float) -> str:
    """A count in few characters.

    Example:
        >>> thousands(950), thousands(38225), thousands(9_530_000)
        ('950', '38k', '9.5M')
    """
    if number >= 1e6:
        return f"{number / 1e6:.1f}M"
    return f"{number / 1e3:.0f}k" if number >= 1e3 else f"{number:.0f}"
