"""Which trained parameters weight decay draws towards zero.

Decay draws a weight to what it is where the adapter does nothing; where that is not zero, it destroys. By
method, and what each parameter decays to:

- bottlenecks, `compacter`, invertible parts, LoRA, `vera`: zero is the identity; they decay. A gate decays to
  one half.
- prompts, prefixes: no value is neutral; they decay, as embeddings do in training from scratch.
- (IA)3: its vectors multiply, and 1 is neutral; at zero a layer is silent.
- DoRA: its magnitudes multiply rows of length one; at zero a layer is silent.
- ReFT with an orthogonal projection, and whatever else is parametrized: what is stored are factors from which
  the matrix is computed. Drawn to zero its signs are read as 0, and the projection is none.
- AdapterFusion: the value matrix starts as the identity, and is kept near it by a term of its own.
- Biases, layer norms, scalings and vectors of every kind do not decay, as in the reference scripts.
"""

from __future__ import annotations

from torch import Tensor, nn

from adaptrans.models.fusing import is_value


def decays(model: nn.Module, name: str, parameter: Tensor) -> bool:
    """Whether weight decay may act on a parameter.

    Args:
        model: The model.
        name: Name of the parameter in it.
        parameter: The parameter.
    """
    path, _, last = name.rpartition(".")
    if parameter.dim() < 2 or ".parametrizations." in name or is_value(name):
        return False
    module = model.get_submodule(path)
    if last == "lora_B":
        return getattr(module, "composition_mode", "add") != "scale"
    # DoRA keeps its magnitudes as a layer named m of the low-rank module.
    outside, _, layer = path.rpartition(".")
    return not (layer == "m" and getattr(model.get_submodule(outside), "use_dora", False))
