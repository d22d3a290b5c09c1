"""The figures for people, as a table, and for programs, as JSON."""

from __future__ import annotations

import msgspec
from rich.table import Table

from services.sandbox.bench.figures import Aim, Figure, Ratio, Row, Spread

_COLUMNS = ("", "median", "min-max", "floor", "ratio", "aim")


def table_of(rows: list[Row], title: str) -> Table:
    """A row for each figure."""
    table = Table(title=title, title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("", "aim") else "right", no_wrap=name not in ("", "aim"))
    for row in rows:
        table.add_row(*cells_of(row))
    return table


def cells_of(row: Row) -> tuple[str, ...]:
    """The cells of a row, in words and numbers."""
    unit = row.figure.unit
    return (
        row.figure.title,
        f"{number(row.value.median)} {unit}",
        f"{number(row.value.least)}-{number(row.value.most)}",
        f"{number(row.floor.median)} {unit}" if row.floor else "",
        _ratio(row.figure, row.ratio) if row.ratio else "",
        "; ".join(f"{aim_text(row.figure, aim)}: {'met' if met else 'not met'}" for aim, met in row.verdicts()),
    )


def aim_text(figure: Figure, aim: Aim) -> str:
    """An aim in words."""
    bound = number(aim.bound)
    return f"{'at least' if aim.at_least else 'at most'} {bound}{'x' if aim.of_ratio else f' {figure.unit}'}"


def number(value: float) -> str:
    """A number with three digits that count at least, its thousands apart."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _ratio(figure: Figure, ratio: Spread) -> str:
    return f"{ratio.median:.2f}x {'cost' if figure.ratio is Ratio.COST else 'faster'}"


class _Told(msgspec.Struct, frozen=True):
    title: str
    unit: str
    value: Spread
    floor: Spread | None
    floor_is: str
    ratio: Spread | None
    ratio_is: str
    aims: list[tuple[str, bool]]


def json_of(rows: list[Row], **about: object) -> bytes:
    """All of it. ``about``: what else is to be remembered of the runs."""
    told = [
        _Told(
            title=row.figure.title,
            unit=row.figure.unit,
            value=row.value,
            floor=row.floor,
            floor_is=row.figure.floor,
            ratio=row.ratio,
            ratio_is=row.figure.ratio.value,
            aims=[(aim_text(row.figure, aim), met) for aim, met in row.verdicts()],
        )
        for row in rows
    ]
    return msgspec.json.format(msgspec.json.encode({**about, "rows": told}), indent=2)
