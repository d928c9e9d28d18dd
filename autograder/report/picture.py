"""Expected and received, drawn: two curves in one frame, or two tables of colours side by side."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from autograder.verdict import Picture

WIDTH, HEIGHT = 300, 110  # of a frame for curves, in CSS pixels
TABLE = 180  # what a table is made to be wide or high; its cells are squares
CELLS = (10, 22)  # pixels
GAP = 36
LEVELS = 12  # of colour
MANY = 0.5  # wrong places are framed if they are no more than this share


def svg(picture: Picture) -> Markup:
    """The drawing, in the page's own colours, with words for those who do not see it."""
    rows, columns = len(picture.expected), len(picture.expected[0])
    of = f" of {picture.place}" if picture.place else ""
    count = len(picture.wrong)
    framed = rows > 1 and count <= MANY * rows * columns
    words = f"expected and received{of}: {count} of {rows * columns} values are wrong"
    values = [value for table in (picture.expected, picture.received) for row in table for value in row]
    low, high = min(values), max(values)
    drawing, width, height = (curves if rows == 1 else tables)(picture, low, high)
    at = f", at {picture.place} of the result" if picture.place else ""
    caption = f"From {low:g} to {high:g}{at}{'; framed is what is wrong' if framed else ''}."
    return Markup(
        '<figure class="picture"><svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
        "<figcaption>{}</figcaption></figure>"
    ).format(words.capitalize(), width, height, width, height, Markup(drawing), caption)


def curves(picture: Picture, low: float, high: float) -> tuple[str, int, int]:
    """Two curves over the index: what should have come, dashed, and what came."""
    span = (high - low) or 1.0
    step = WIDTH / (len(picture.expected[0]) - 1)

    def line(values: Iterable[float], kind: str) -> str:
        points = (f"{step * x:.1f},{4 + (HEIGHT - 8) * (high - y) / span:.1f}" for x, y in enumerate(values))
        return f'<polyline class="{kind}" points="{" ".join(points)}"/>'

    key = (
        f'<line class="expected" x1="0" x2="24" y1="{HEIGHT + 14}" y2="{HEIGHT + 14}"/>'
        f'<text x="30" y="{HEIGHT + 18}">expected</text>'
        f'<line class="received" x1="110" x2="134" y1="{HEIGHT + 14}" y2="{HEIGHT + 14}"/>'
        f'<text x="140" y="{HEIGHT + 18}">received</text>'
    )
    return line(picture.expected[0], "expected") + line(picture.received[0], "received") + key, WIDTH, HEIGHT + 24


def tables(picture: Picture, low: float, high: float) -> tuple[str, int, int]:
    """Two tables of squares, the larger a value the fuller its colour, negative ones in another; what is wrong is framed."""
    rows, columns = len(picture.expected), len(picture.expected[0])
    largest = max(abs(low), abs(high)) or 1.0
    cell = min(max(TABLE // max(rows, columns), CELLS[0]), CELLS[1])
    wide = max(columns * cell, 70)
    parts = []
    for title, table, left in (("expected", picture.expected, 0), ("received", picture.received, wide + GAP)):
        parts.append(f'<g transform="translate({left} 18)"><text y="-6">{escape(title)}</text>')
        parts.append(f'<rect class="frame" width="{columns * cell}" height="{rows * cell}"/>')
        levels: dict[int, list[int]] = {}
        for place, value in enumerate(value for row in table for value in row):
            levels.setdefault(round(LEVELS * value / largest), []).append(place)
        for level, places in sorted(levels.items()):
            if level:
                kind = "more" if level > 0 else "less"
                path = squares(places, columns, cell)
                parts.append(f'<path class="{kind}" fill-opacity="{abs(level) / LEVELS:.2f}" d="{path}"/>')
        if title == "received" and len(picture.wrong) <= MANY * rows * columns:
            parts.append(f'<path class="wrong" d="{squares(picture.wrong, columns, cell)}"/>')
        parts.append("</g>")
    return "".join(parts), 2 * wide + GAP, rows * cell + 20


def squares(places: Iterable[int], columns: int, cell: int) -> str:
    """The path around cells, which are counted row by row."""
    return "".join(
        f"M{cell * (place % columns)} {cell * (place // columns)}h{cell}v{cell}h-{cell}z" for place in places
    )
