"""Several ranks in one test: forked processes that meet through a file (0.05 s, no port)."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _rank(function, rank, world, meeting, results):
    torch.set_num_threads(1)  # a forked OpenMP pool would wait for threads that do not exist
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        results[rank] = function(rank, world)
    finally:
        dist.destroy_process_group()


@pytest.fixture
def ranks(tmp_path):
    """ranks(function, world=2): the results of function(rank, world) on each rank, by rank."""
    def run(function, world=2):
        context = mp.get_context("fork")
        with context.Manager() as manager:
            results = manager.dict()
            meeting = tmp_path / f"meeting-{len(list(tmp_path.iterdir()))}"
            workers = [
                context.Process(target=_rank, args=(function, rank, world, meeting, results))
                for rank in range(world)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(60)
                if worker.is_alive():
                    worker.kill()
            assert [worker.exitcode for worker in workers] == [0] * world
            return [results[rank] for rank in range(world)]

    return run
