"""Loads the trained model of a split, where the packages for it are installed."""

import os
from typing import TYPE_CHECKING

from memtrain.core.errors import UserError
from memtrain.core.wording import shown

if TYPE_CHECKING:
    from memtrain.inference.loaded_model import LoadedModel


def load_model(folder: str | os.PathLike, device: str | None = None) -> "LoadedModel":
    """Load the trained model of a split, to use it on new rows.

    The folder may be a copy: two files in it are read, ``split.json`` and ``model.safetensors``. A
    model, transform or loss of your own has to be importable, as in the training. PyTorch's
    settings and generators are afterwards what they were before.

    Args:
        folder: folder of the split, such as "results/flights/splits/mlp".
        device: "cpu", "cuda", or "auto" for a GPU if there is one; that of the training unless
            given.

    Raises:
        UserError: if a file is missing or damaged, the model was not trained by this recipe, the
            device has another name, or a package is not installed.
    """
    if device not in (None, "auto", "cpu", "cuda"):
        raise UserError(f"load_model: found the device {shown(device)}; give cpu, cuda or auto.")
    # Programs that only load rows do without these packages.
    try:
        from memtrain.inference.loaded_model import read_model
    except ModuleNotFoundError as error:
        raise UserError(
            f"load_model: the package {error.name} is not installed. Install what it needs by "
            "`pip install 'memtrain[inference]'`."
        ) from None
    return read_model(folder, device)
