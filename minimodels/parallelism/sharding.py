"""Which rank holds which rows of a tensor that is sharded evenly along its rows.

The layout of FSDP2 and of DTensor's Shard(0): ceil(rows / world) rows a rank in order of rank; the
last ranks hold fewer, or none.
"""

from minimodels.errors import UserError


def owner_of_row(row: int, rows: int, world: int) -> int:
    """The rank, of `world`, that holds row `row` of `rows` (an embedding's row is a token id)."""
    _check(rows, world)
    if not 0 <= row < rows:
        raise UserError(f"row {row} of {rows} does not exist: they count from 0 to {rows - 1}.")
    return row // rows_per_rank(rows, world)


def rows_of_rank(rank: int, rows: int, world: int) -> range:
    """The rows that `rank` holds; empty where the ranks before it took them all."""
    _check(rows, world)
    if not 0 <= rank < world:
        raise UserError(f"rank {rank} of {world} does not exist: they count from 0 to {world - 1}.")
    size = rows_per_rank(rows, world)
    return range(min(rank * size, rows), min((rank + 1) * size, rows))


def rows_per_rank(rows: int, world: int) -> int:
    """Rows of a full rank: rows / world, rounded up."""
    return -(-rows // world)


def _check(rows: int, world: int) -> None:
    if rows < 1 or world < 1:
        raise UserError(f"{rows} rows over {world} ranks cannot be cut: give 1 or more of each.")
