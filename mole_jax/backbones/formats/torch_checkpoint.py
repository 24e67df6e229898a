"""Named arrays from torch checkpoints. Nothing is ever unpickled without restriction."""

import pickle
from pathlib import Path

from mole_jax.errors import UserError
from mole_jax.files.tensors import Tensors


def read_torch_checkpoint(path: Path) -> Tensors:
    """A state dict saved by torch, bare or under the key "state_dict", with `torch.load(weights_only=True)`.

    Raises:
        UserError: torch is not installed, or the file is damaged or holds more than tensors.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} is a torch checkpoint, but torch is not installed: install it, or save the weights as .safetensors"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or holds more than tensors, which is not loaded as it could run code "
            f"({type(error).__name__}): save its state_dict() alone"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path} holds no state dict: save model.state_dict(), bare or under the key 'state_dict'")
    # NumPy has no bfloat16.
    return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in state.items()}
