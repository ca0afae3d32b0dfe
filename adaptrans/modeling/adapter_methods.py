"""Adapter methods: names, options, and which method composes how.

Torch-free. The names and the form `seq_bn[reduction_factor=16]` are those of the `adapters` library; one
method at a time, without its unions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptrans.errors import SetupError, UnknownNameError

FULL = "full"

DEFAULT_METHOD = "seq_bn"
"""Pfeiffer's bottleneck adapter: it stacks and fuses."""

BLOCKS = (
    "Stack",
    "Fuse",
    "Stack(l, Fuse)",
    "Stack(Fuse, t)",
    "Fuse(Stack, Stack)",
    "Parallel",
    "Parallel(Stack, Stack)",
    "BatchSplit",
    "Average",
    "Split",
    "MultiTask",
    "Merge",
)
# Method by block, in the order of BLOCKS. Source: forward passes of adapters 1.3.0 on XLM-R; the Stack column
# further by comparing each stack with its parts: a parallel adapter reads the input of its layer, not what
# the adapter below made of it, so that in a stack of them only the last one has an effect.
#   ok      composed
#   no      the library raises NotImplementedError
#   error   the library fails in another way
#   silent  no error, but only one adapter has an effect
#   first   no error, but of the invertible parts only the first one has an effect
#   unsound no error, but nothing says that a weighted sum of such weights is of use
COMPOSITION = {
    "seq_bn double_seq_bn compacter compacter++": "ok ok ok ok error ok ok ok ok ok ok ok",
    "seq_bn_inv double_seq_bn_inv": "ok first first first error ok ok ok ok ok ok ok",
    "par_bn scaled_par_bn": "silent ok silent silent error error error ok ok ok ok ok",
    "lora ia3": "ok no no no error ok ok ok ok no ok ok",
    "dora vera": "ok no no no error ok ok ok ok no ok unsound",
    "prefix_tuning": "ok no no no error ok ok ok no no ok unsound",
    "mam": "silent error error error error ok ok ok no no ok unsound",
    "unipelt": "ok error error error error error error ok no no ok unsound",
    "prompt_tuning loreft noreft direft": " ".join(["silent"] * 11 + ["unsound"]),
}
REASONS = {
    "no": "the adapters library does not implement {block} of {method}",
    "error": "{block} of {method} fails in the adapters library",
    "first": "of several adapters of {method} only the first one's invertible part has an effect in {block}",
    "unsound": "only bottlenecks, lora and ia3 are merged, not {method}",
    "silent": "the adapters library does not compose {method}: only one adapter would have an effect",
}

BOTTLENECK = (
    "mh_adapter output_adapter reduction_factor non_linearity original_ln_before original_ln_after ln_before"
    " ln_after init_weights init_weights_seed scaling use_gating residual_before_ln"
    " adapter_residual_before_ln inv_adapter inv_adapter_reduction_factor leave_out dropout phm_layer phm_dim"
    " shared_phm_rule factorized_phm_rule phm_c_init phm_init_range learn_phm hypercomplex_nonlinearity"
    " phm_rank phm_bias stochastic_depth"
)
LORA = (
    "selfattn_lora intermediate_lora output_lora leave_out r alpha dropout attn_matrices composition_mode"
    " init_weights init_weights_seed use_gating"
)
REFT = (
    "layers prefix_positions suffix_positions r orthogonality tied_weights dropout non_linearity output_reft"
)
# Source: the configuration classes of adapters 1.3.0, without `is_parallel`, which would turn a method into
# another one. `mam` and `unipelt` are unions, whose options the
# library takes only inside their parts.
OPTIONS = {
    "seq_bn double_seq_bn seq_bn_inv double_seq_bn_inv par_bn scaled_par_bn": BOTTLENECK,
    "compacter compacter++": BOTTLENECK,
    "lora ia3": LORA,
    "dora": f"{LORA} use_dora",
    "vera": f"{LORA} vera_d vera_b",
    "prefix_tuning": (
        "leave_out flat prefix_length bottleneck_size non_linearity dropout use_gating shared_gating"
    ),
    "prompt_tuning": "prompt_length prompt_init combine",
    "loreft noreft direft": REFT,
    "mam unipelt": "",
}
# Names that older versions of the library used, and what they are called now.
FORMER = {
    "pfeiffer": "seq_bn",
    "houlsby": "double_seq_bn",
    "parallel": "par_bn",
    "scaled_parallel": "scaled_par_bn",
    "pfeiffer+inv": "seq_bn_inv",
    "houlsby+inv": "double_seq_bn_inv",
}

# Source: adapters 1.3.0, `ReftConfig.subtract_projection`, the one attribute of a configuration that changes
# what an adapter does and is no field of it, so that no file holds it. What is read from a file subtracts.
SUBTRACTS_NOTHING = "direft"
"""The method that the library loads as another one, `noreft`, without a word."""

Value = bool | int | float | str | None | list | dict


def _cells() -> dict[str, dict[str, str]]:
    return {
        name: dict(zip(BLOCKS, row.split(), strict=True))
        for names, row in COMPOSITION.items()
        for name in names.split()
    }


CELLS = _cells()
OPTIONS_OF = {name: frozenset(row.split()) for names, row in OPTIONS.items() for name in names.split()}


@dataclass(frozen=True)
class Method:
    """An adapter method and the options that differ from the library's defaults."""

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value!r}" for key, value in sorted(self.options.items()))
        return f"{self.name}[{options}]" if options else self.name

    @property
    def lengthens(self) -> bool:
        """Whether the method puts tokens of its own into the sequence."""
        return self.name == "prompt_tuning"

    @property
    def inverts(self) -> bool:
        """Whether the method has an invertible part at the embeddings, which acts below all adapters."""
        return self.name.endswith("_inv") or bool(self.options.get("inv_adapter"))

    @property
    def reads_weights(self) -> bool:
        """Whether the method computes with the weights of its layers: DoRA takes their norms."""
        return bool(self.options.get("use_dora", self.name == "dora"))

    def obstacle(self, block: str) -> str | None:
        """Why the method cannot stand in a block of the table, or None when it can.

        Example:
            >>> parse("lora").obstacle("Fuse")
            'the adapters library does not implement Fuse of lora'
            >>> parse("lora").obstacle("Stack") is None
            True
        """
        cell = CELLS[self.name][block]
        return None if cell == "ok" else REASONS[cell].format(block=block, method=self.name)


def left_out(value: Value, depth: int) -> list[int]:
    """The 0-based encoder layers that an option `leave_out` means.

    Args:
        value: A list of layers, `last`, or `first:N`, also written `first N`.
        depth: Layers of the encoder.

    Raises:
        SetupError: If it is none of these.

    Example:
        >>> left_out("last", 12), left_out("first 3", 12), left_out([0, 11], 12)
        ([11], [0, 1, 2], [0, 11])
    """
    match = re.fullmatch(r"first[: ](\d+)", value) if isinstance(value, str) else None
    if value == "last":
        return [depth - 1]
    found = list(range(int(match[1]))) if match else value
    if isinstance(found, list) and all(type(layer) is int and 0 <= layer < depth for layer in found):
        return found
    raise SetupError(
        f"leave_out={value!r} names no layers of an encoder with {depth}",
        remedy=f"write 'last', 'first:6', or a list of layers from 0 to {depth - 1}",
    )


def check_layers(value: Value, depth: int) -> None:
    """Refuse an option `layers` that names layers which the encoder has not got.

    Args:
        value: `all`, or a list of 0-based layers.
        depth: Layers of the encoder.

    Raises:
        SetupError: If one does not exist; the library would leave it out without a word.
    """
    layers = value if isinstance(value, list) else []
    if value != "all" and not (layers and all(type(item) is int and 0 <= item < depth for item in layers)):
        raise SetupError(
            f"layers={value!r} names no layers of an encoder with {depth}",
            remedy=f"write 'all', or a list of layers from 0 to {depth - 1}",
        )


def untold_lines(name: str) -> list[str]:
    """The lines that set what an adapter's file cannot tell the library, after it was loaded."""
    return [
        f"# {SUBTRACTS_NOTHING}: the library's files do not hold this flag, which changes the answers",
        "for module in model.modules():",
        f'    if "{name}" in getattr(module, "refts", {{}}):',
        f'        for unit in module.refts["{name}"].units:',
        "            unit.subtract_projection = False",
    ]


def names() -> list[str]:
    """All adapter methods, sorted."""
    return sorted(CELLS)


def parse(text: str) -> Method:
    """Parse a method as the library writes it.

    Args:
        text: A name, with options in brackets whose values are Python literals.

    Raises:
        UnknownNameError: If the method or an option is unknown.
        SetupError: If the brackets cannot be read.

    Example:
        >>> parse("seq_bn[ reduction_factor=8 ]")
        Method(name='seq_bn', options={'reduction_factor': 8})
        >>> str(parse("lora[r=4, alpha=16]"))
        'lora[alpha=16,r=4]'
    """
    match = (
        re.fullmatch(r"\s*([^\[\]\s|]+)\s*(?:\[(.*)\])?\s*", text, re.DOTALL)
        if isinstance(text, str)
        else None
    )
    if match is None:
        raise SetupError(
            f"method {text!r} cannot be read",
            remedy="write one name, with options as in 'seq_bn[reduction_factor=16]'",
        )
    name, inside = match[1], match[2]
    if name in FORMER:
        raise UnknownNameError("method", name, [FORMER[name]], remedy=f"it is now called '{FORMER[name]}'")
    if name not in CELLS:
        raise UnknownNameError("method", name, [*CELLS, FULL])
    method = Method(name, _options(name, inside) if inside and inside.strip() else {})
    reason = _failure(method)
    if reason:
        raise SetupError(f"method {method}: {reason[0]}", remedy=reason[1])
    return method


def _failure(method: Method) -> tuple[str, str] | None:
    """Why options that the library takes fail later or make another method, and the remedy; None if not.

    Source: forward passes of adapters 1.3.0.
    """
    options = method.options
    if options.get("inv_adapter") not in (None, "nice"):
        return "its invertible part fails in the adapters library", "write inv_adapter='nice'"
    if method.name == "vera":
        for key in ("vera_d", "vera_b"):
            if key in options and not isinstance(options[key], float):
                return f"{key} that is no decimal number makes a lora of it", f"write for instance {key}=0.1"
        places = [
            options.get("selfattn_lora", True),
            options.get("intermediate_lora"),
            options.get("output_lora"),
        ]
        if sum(map(bool, places)) > 1:
            return "its matrices are shared, and these layers have other shapes", "choose one kind of layer"
    return None


def _options(name: str, inside: str) -> dict[str, Value]:
    remedy = f"write for instance '{name}[{next(iter(sorted(OPTIONS_OF[name])), 'option')}=1]'"
    problem = SetupError(f"the options of method '{name}[{inside}]' cannot be read", remedy=remedy)
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise problem
        options: dict[str, Value] = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise problem
            if keyword.arg not in OPTIONS_OF[name]:
                raise UnknownNameError(f"option of method {name}", keyword.arg, OPTIONS_OF[name])
            options[keyword.arg] = ast.literal_eval(keyword.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise problem from error
    return options
