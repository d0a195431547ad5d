"""Every example is in every epoch once, on one device, in an order that the seed fixes."""

from __future__ import annotations

from itertools import chain

import pytest

from tasks.train.batches import micro_batches, plan

IDS = [f"ex-{i}" for i in range(37)]
LENGTHS = [3 + (7 * i) % 11 for i in range(37)]


def test_every_epoch_holds_each_example_exactly_once() -> None:
    steps = plan(IDS, seed=1, epochs=3, batch_size=8)
    assert [step.number for step in steps] == list(range(15))
    for epoch in range(3):
        rows = [row for step in steps if step.epoch == epoch for row in step.rows]
        assert sorted(rows) == list(range(37))


def test_the_order_changes_with_seed_and_epoch_and_nothing_else() -> None:
    def first(seed: int, epoch: int) -> tuple[int, ...]:
        return next(s.rows for s in plan(IDS, seed=seed, epochs=2, batch_size=37) if s.epoch == epoch)

    assert first(1, 0) == first(1, 0)
    assert len({first(1, 0), first(1, 1), first(2, 0), first(2, 1)}) == 4


@pytest.mark.parametrize("devices", [1, 2, 3, 40])
@pytest.mark.parametrize("size", [None, 4])
def test_devices_share_a_step_without_loss_or_overlap(devices: int, size: int | None) -> None:
    shares = [micro_batches(range(37), LENGTHS, size=size, device=d, devices=devices) for d in range(devices)]
    assert sorted(chain(*chain(*shares))) == list(range(37))
    assert len({len(share) for share in shares}) == 1
    assert all(len(batch) <= (size or 37) for batch in chain(*shares))
