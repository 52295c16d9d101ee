"""``MemmapDataset``, alone and under a ``DataLoader``."""

import os
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Subset

from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset

ROWS = np.random.default_rng(0).random((100, 4), dtype=np.float32)
RECORDS = np.zeros(
    50, [("features", "<f4", (3,)), ("image", "u1", (2, 2)), ("target", ">i8", (1,))]
)
RECORDS["features"] = np.random.default_rng(1).random((50, 3))
RECORDS["image"] = np.random.default_rng(2).integers(0, 255, (50, 2, 2))
RECORDS["target"][:, 0] = np.arange(50)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "rows.bin"
    ROWS.tofile(path)
    return path


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "rows.npy"
    np.save(path, RECORDS)
    return path


def double(row):
    return row * 2


def double_batched(rows):
    return rows * 2


double_batched.batched = True


def halve_features(row):
    assert row["features"].shape == (3,)
    return {"features": row["features"] / 2, "target": row["target"]}


@given(st.integers(0, 100), st.integers(0, 100), st.integers(-110, 110))
def test_index_counts_within_the_range(raw, one, other, index):
    start, end = sorted((one, other))
    dataset = MemmapDataset(raw, np.float32, (100, 4), None, start, end)
    expected = ROWS[start:end]
    assert len(dataset) == len(expected)
    if -len(expected) <= index < len(expected):
        assert np.array_equal(dataset[index].numpy(), expected[index])
        assert np.array_equal(dataset.gather([index, index])[1], expected[index])
    else:
        for ask in (lambda: dataset[index], lambda: dataset.gather([index])):
            with pytest.raises(IndexError):
                ask()


def test_arguments_in_the_promised_order(raw):
    dataset = MemmapDataset(raw, "float32", (100, 4), double, 10, 20)
    assert len(dataset) == 10
    assert np.array_equal(dataset[0].numpy(), ROWS[10] * 2)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "<i4", ">i8", "u1", ">i2"])
def test_floats_become_float32_and_integers_stay(tmp_path, dtype):
    values = np.arange(-6, 6).astype(dtype)
    np.save(tmp_path / "rows.npy", values.reshape(6, 2))
    dataset = MemmapDataset(tmp_path / "rows.npy")
    native = values.dtype.newbyteorder("=")
    expected = values.reshape(6, 2).astype(np.float32 if native.kind == "f" else native)
    assert dataset[1].numpy().dtype == expected.dtype
    assert np.array_equal(dataset[1], expected[1])
    assert np.array_equal(dataset.gather([5, 0]), expected[[5, 0]])


def centred(row):
    assert row.dtype == np.float64
    return row - 1e8


def test_float64_is_cut_last(tmp_path):
    values = 1e8 + np.random.default_rng(0).normal(size=(50, 2))
    np.save(tmp_path / "rows.npy", values)
    whole = MemmapDataset(tmp_path / "rows.npy", float64=True)
    assert np.array_equal(whole.gather(range(50)), values)
    assert np.array_equal(next(iter(DataLoader(whole, 50))), values)
    after = MemmapDataset(tmp_path / "rows.npy", transform=centred)
    assert np.array_equal(after.gather(range(50)), (values - 1e8).astype(np.float32))
    assert after[7].dtype == torch.float32


def test_a_record_is_a_dict_of_tensors(records):
    row = MemmapDataset(records, start_index=10)[5]
    assert {name: value.dtype for name, value in row.items()} == {
        "features": torch.float32,
        "image": torch.uint8,
        "target": torch.int64,
    }
    assert row["target"].tolist() == [15]
    assert np.array_equal(row["image"], RECORDS["image"][15])


@pytest.mark.parametrize("wrong", [(-1, 5), (5, 4), (0, 101), (101, None)])
def test_a_range_outside_the_file_is_named_with_it(raw, wrong):
    with pytest.raises(ValueError, match=r"do not lie within the 100 rows of .*rows\.bin"):
        MemmapDataset(raw, np.float32, (100, 4), None, *wrong)


def test_a_file_of_another_size_is_refused_before_it_is_mapped(tmp_path):
    path = tmp_path / "x.bin"
    ROWS.tofile(path)
    os.truncate(path, 1599)
    with pytest.raises(UserError, match="1,600 bytes, but the file has 1,599"):
        MemmapDataset(path, np.float32, (100, 4))
    ROWS.tofile(path)
    dataset = MemmapDataset(path, np.float32, (100, 4))
    os.truncate(path, 800)
    with pytest.raises(UserError, match="cut short"):
        dataset[0]


def test_what_disagrees_or_is_missing_is_refused(raw, records, tmp_path):
    with pytest.raises(ValueError, match="pass the dtype and shape"):
        MemmapDataset(raw)
    with pytest.raises(ValueError, match=r"holds .* not float32"):
        MemmapDataset(records, dtype=np.float32)
    with pytest.raises(ValueError, match=r"has the shape \(50,\), not \(49,\)"):
        MemmapDataset(records, shape=49)
    with pytest.raises(UserError, match="no such file"):
        MemmapDataset(tmp_path / "none", np.float32, (1, 1))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    with pytest.raises(ValueError, match="which tensors do not have"):
        MemmapDataset(tmp_path / "text.npy")
    with pytest.raises(TypeError, match="must be an integer"):
        MemmapDataset(records)["features"]


def test_tensors_are_copies_without_a_warning(raw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = MemmapDataset(raw, np.float32, (100, 4))
        dataset[3].fill_(7)
        next(iter(DataLoader(dataset, 8))).fill_(7)
    assert raw.read_bytes() == ROWS.tobytes()
    assert np.array_equal(dataset[3], ROWS[3])


@given(st.lists(st.integers(-50, 49), min_size=1, max_size=20))
def test_a_batch_is_the_rows_stacked(records, indices):
    dataset = MemmapDataset(records)
    batch = next(iter(DataLoader(dataset, batch_sampler=[indices])))
    for name, values in batch.items():
        assert torch.equal(values, torch.stack([dataset[index][name] for index in indices]))


@pytest.mark.parametrize("transform", [None, double, double_batched])
def test_transforms_of_rows_and_of_batches_agree(raw, transform):
    dataset = MemmapDataset(raw, np.float32, (100, 4), transform, 20, 60)
    batches = torch.cat(list(DataLoader(dataset, batch_size=7)))
    expected = ROWS[20:60] * (1 if transform is None else 2)
    assert np.array_equal(batches, expected)
    assert np.array_equal(torch.stack([dataset[i] for i in range(40)]), expected)


@pytest.mark.parametrize("transform", [None, double, double_batched])
def test_a_gathered_batch_is_what_a_data_loader_gives(raw, transform):
    dataset = MemmapDataset(raw, np.float32, (100, 4), transform, 20, 60)
    indices = [5, -1, 5, 0]
    batch = dataset.gather(indices)
    assert type(batch) is torch.Tensor
    assert torch.equal(batch, next(iter(DataLoader(dataset, batch_sampler=[indices]))))


def test_a_transform_of_a_record_gets_and_gives_a_dict(records):
    loader = DataLoader(MemmapDataset(records, transform=halve_features), batch_size=5)
    batch = next(iter(loader))
    assert set(batch) == {"features", "target"}
    assert np.allclose(batch["features"], RECORDS["features"][:5] / 2)


def test_a_collate_function_of_ones_own_gets_the_rows(raw, records):
    plain = DataLoader(
        MemmapDataset(raw, np.float32, (100, 4)), 6, collate_fn=lambda rows: torch.stack([*rows])
    )
    assert np.array_equal(next(iter(plain)), ROWS[:6])
    targets = DataLoader(
        MemmapDataset(records), 6, collate_fn=lambda rows: [int(row["target"]) for row in rows]
    )
    assert next(iter(targets)) == [0, 1, 2, 3, 4, 5]
    subset = Subset(MemmapDataset(raw, np.float32, (100, 4)), [9, 3, 5])
    assert np.array_equal(next(iter(DataLoader(subset, 3))), ROWS[[9, 3, 5]])


def test_rows_of_a_batch_are_ordinary_tensors(raw):
    rows = MemmapDataset(raw, np.float32, (100, 4)).__getitems__([1, 2])
    assert type(rows[0] + 1) is torch.Tensor
    assert np.array_equal(rows[1:].batch, ROWS[2:3])
    again = torch.utils.data.default_collate([rows[0], rows[1]])
    assert np.array_equal(again, ROWS[1:3])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_any_start_method_give_the_same_rows(raw, method):
    dataset = MemmapDataset(raw, np.float32, (100, 4), double_batched, 10, 90)
    assert dataset[0] is not None  # opened here as well
    loader = DataLoader(dataset, 16, num_workers=2, multiprocessing_context=method)
    assert np.array_equal(torch.cat(list(loader)), ROWS[10:90] * 2)


def test_a_pickled_dataset_holds_no_rows(tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((100_000, 8), np.float32))
    dataset = MemmapDataset(tmp_path / "large.npy")
    assert dataset[5] is not None
    content = pickle.dumps(dataset)
    assert len(content) < 2000
    assert torch.equal(pickle.loads(content)[5], dataset[5])


def founding_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))


@pytest.mark.slow
@pytest.mark.parametrize("transform", [None, lambda row: row * 2 - 1], ids=["plain", "transformed"])
@pytest.mark.parametrize("end", [None, 5000], ids=["all rows", "a range"])
@pytest.mark.parametrize("last_window", ["kept", "stepped"])
def test_the_programs_that_started_this_project_work(tmp_path, transform, end, last_window):
    """A raw file, a DataLoader, a 20-64-1 network, Adam, 8 micro-batches of 16 rows a step."""
    shape = (10_000, 20)
    rows = np.memmap(tmp_path / "mock.dat", "float32", "w+", shape=shape)
    rows[:] = np.random.default_rng(0).random(shape, dtype=np.float32)
    rows.flush()
    dataset = MemmapDataset(tmp_path / "mock.dat", "float32", shape, transform, 0, end)
    loader = DataLoader(dataset, batch_size=16, shuffle=True)
    model, loss_of = founding_model(), nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    steps, losses = 0, []
    for _ in range(3):
        optimizer.zero_grad()
        for number, batch in enumerate(loader, 1):
            target = batch.sum(dim=1, keepdim=True) / 20
            loss = loss_of(model(batch), target) / 8
            loss.backward()
            losses.append(loss.item() * 8)
            if number % 8 == 0 or (last_window == "stepped" and number == len(loader)):
                optimizer.step()
                optimizer.zero_grad()
                steps += 1
    batches = -(-len(dataset) // 16)
    assert steps == 3 * (batches // 8 + (last_window == "stepped" and batches % 8 > 0))
    assert np.mean(losses[-50:]) < np.mean(losses[:5]) / 3
