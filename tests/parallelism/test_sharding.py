import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DeviceMesh, Shard, distribute_tensor

from minimodels.errors import UserError
from minimodels.parallelism.sharding import owner_of_row, rows_of_rank

SHAPES = [(2048, 2), (2048, 64), (10, 4), (9, 4), (3, 4), (5, 4), (1, 3), (257, 7), (256_000, 96)]


@pytest.mark.parametrize("rows, world", SHAPES)
def test_ranks_cut_the_rows_as_torch_chunk_does(rows, world):
    chunks = torch.arange(rows).chunk(world)
    ours = [list(rows_of_rank(rank, rows, world)) for rank in range(world)]
    assert ours == [chunk.tolist() for chunk in chunks] + [[]] * (world - len(chunks))


@pytest.mark.parametrize("rows, world", SHAPES[:-1])
def test_the_owner_is_the_rank_whose_rows_hold_it(rows, world):
    for row in range(rows):
        assert row in rows_of_rank(owner_of_row(row, rows, world), rows, world)


def test_an_uneven_cut_differs_from_dividing_first():
    assert owner_of_row(2, 9, 4) == 0  # 3 + 3 + 3 + 0, not 3 + 2 + 2 + 2
    assert owner_of_row(8, 9, 4) == 2 and len(rows_of_rank(3, 9, 4)) == 0


def _shard(rank, world):
    mesh = DeviceMesh("cpu", list(range(world)))
    return [
        distribute_tensor(torch.arange(rows), mesh, [Shard(0)]).to_local().tolist()
        for rows in (8, 9, 2, 31)
    ]


def test_equal_to_dtensor(ranks):
    world = 3
    for rank, shards in enumerate(ranks(_shard, world)):
        for rows, shard in zip((8, 9, 2, 31), shards, strict=True):
            assert shard == list(rows_of_rank(rank, rows, world))
    assert not dist.is_initialized()


@pytest.mark.parametrize("call", [
    lambda: owner_of_row(9, 9, 4), lambda: owner_of_row(-1, 9, 4), lambda: rows_of_rank(4, 9, 4),
    lambda: owner_of_row(0, 9, 0), lambda: rows_of_rank(0, 0, 1),
])
def test_what_does_not_exist(call):
    with pytest.raises(UserError):
        call()
