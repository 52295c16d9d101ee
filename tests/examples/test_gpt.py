"""The GPT of examples/stdlib_gpt: what a position sees, and that it learns."""

import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional


@pytest.fixture(scope="module")
def gpt(repository):
    """Return the module of the example."""
    folder = str(repository / "examples" / "stdlib_gpt")
    sys.path.append(folder)
    import gpt

    yield gpt
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def model(gpt):
    torch.manual_seed(0)
    return gpt.Gpt(in_features=16, out_features=256, width=32, heads=4, layers=2)


def random_text(seed, rows=1, length=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (rows, length), generator=generator, dtype=torch.uint8)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), place=st.integers(0, 15), byte=st.integers(0, 255))
def test_a_later_byte_changes_no_earlier_output(model, seed, place, byte):
    text = random_text(seed)
    changed = text.clone()
    changed[0, place] = byte
    with torch.no_grad():
        before, after = model(text)[0], model(changed)[0]
    torch.testing.assert_close(before[:place], after[:place])
    if byte != text[0, place]:
        # Every later position sees the byte.
        assert ((before - after)[place:].abs().amax(1) > 0).all()


def test_rows_do_not_see_each_other(model):
    text = random_text(1, rows=3)
    with torch.no_grad():
        torch.testing.assert_close(model(text)[1:2], model(text[1:2]))
        torch.testing.assert_close(model(text[:, :5]), model(text)[:, :5])


def test_the_hook_writes_a_sample(gpt, model, tmp_path):
    import samples

    view = SimpleNamespace(
        device=torch.device("cpu"), model=lambda: model, folder=tmp_path, step=500
    )
    samples.write_sample(view, beginning="def ", length=20)
    assert (tmp_path / "step-00500.txt").read_text().startswith("def ")


def test_it_learns_a_few_rows_by_heart(gpt):
    torch.manual_seed(0)
    model = gpt.Gpt(in_features=16, out_features=256, width=32, heads=4, layers=2)
    text = random_text(2, rows=4, length=17)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def loss():
        return functional.cross_entropy(model(text[:, :-1]).mT, text[:, 1:].long())

    first = loss().item()
    for _ in range(120):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert first == pytest.approx(torch.tensor(256.0).log().item(), rel=0.05)
    assert loss().item() < 0.1
    # What was learned by heart is written again, whatever the temperature allows.
    start = text[0, :1]
    assert model.continue_text(start, 16, temperature=0.01).tolist() == text[0].tolist()


def test_it_writes_on_beyond_its_window(model):
    torch.manual_seed(3)
    text = random_text(3)[0]
    written = model.continue_text(text, 20)
    assert written[:16].tolist() == text.tolist()
    assert written.shape == (36,)
    torch.manual_seed(3)
    assert torch.equal(model.continue_text(text, 20), written)
