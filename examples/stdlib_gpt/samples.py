"""A hook of the training: lets the GPT write on while it learns."""

import torch


def write_sample(view, beginning: str = "def read_", length: int = 300) -> None:
    """Write a text into the folder of hooks, for the step.

    Args:
        view: the view of the training.
        beginning: what the model continues.
        length: bytes to write.
    """
    start = torch.tensor(list(beginning.encode()), device=view.device)
    written = view.model().continue_text(start, length, 1.0)
    text = bytes(written.tolist()).decode(errors="replace")
    (view.folder / f"step-{view.step:05}.txt").write_text(text + "\n")
