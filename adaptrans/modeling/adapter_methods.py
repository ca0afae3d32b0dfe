"""Adapter methods: names, options, and which method composes how.

Torch-free. The names and the form `seq_bn[reduction_factor=16]` are those of the `adapters` library; one
method at a time, without its unions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from adaptrans.errors import SetupError, UnknownNameError
from adaptrans.utils.registry import Registry

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
# Rows, in the order of BLOCKS. Source: forward passes of adapters 1.3.0 on XLM-R; the Stack column
# further by comparing each stack with its parts: a parallel adapter reads the input of its layer, not what
# the adapter below made of it, so that in a stack of them only the last one has an effect.
#   ok      composed
#   no      the library raises NotImplementedError
#   error   the library fails in another way
#   silent  no error, but only one adapter has an effect
#   first   no error, but of the invertible parts only the first one has an effect
#   unsound no error, but nothing says that a weighted sum of such weights is of use
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


@dataclass(frozen=True)
class AdapterMethod:
    """All that differs from one adapter method to the next.

    Args:
        composition: Its row of blocks, in the order of `BLOCKS`.
        options: Options that may be given, separated by spaces.
        library: Name of its configuration in the adapters library; by default its own.
        defaults: What of that configuration it sets otherwise.
        adds_tokens: Whether it puts tokens of its own into the sequence.
        inverts: Whether it has an invertible part at the embeddings, which acts below all adapters.
        reads_weights: Whether it computes with the weights of its layers.
        quick: Options with which one of the same size is quickly built.
        architectures: What its configuration, or the parts of it, say as `architecture`.
        failure: Why options that the library takes fail later or make another method, and the remedy.
    """

    composition: str
    options: str
    library: str | None = None
    defaults: Mapping[str, Value] = field(default_factory=dict)
    adds_tokens: bool = False
    inverts: bool = False
    reads_weights: bool = False
    quick: Mapping[str, Value] = field(default_factory=dict)
    architectures: tuple[str | None, ...] = (None,)
    failure: Callable[[Mapping[str, Value]], tuple[str, str] | None] = lambda options: None

    @property
    def cells(self) -> dict[str, str]:
        """What stands in its row, by block."""
        return dict(zip(BLOCKS, self.composition.split(), strict=True))

    @property
    def option_names(self) -> frozenset[str]:
        """The options that may be given."""
        return frozenset(self.options.split())


def _vera_failure(options: Mapping[str, Value]) -> tuple[str, str] | None:
    """Source: forward passes of adapters 1.3.0."""
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


# Source of the options: the configuration classes of adapters 1.3.0, without `is_parallel`, which would turn
# a method into another one. `mam` and `unipelt` are unions, whose options the library takes only inside their
# parts.
_BOTTLENECK = AdapterMethod("ok ok ok ok error ok ok ok ok ok ok ok", BOTTLENECK)
_INVERTIBLE = replace(
    _BOTTLENECK, composition="ok first first first error ok ok ok ok ok ok ok", inverts=True
)
_PARALLEL = replace(_BOTTLENECK, composition="silent ok silent silent error error error ok ok ok ok ok")
_LORA = AdapterMethod("ok no no no error ok ok ok ok no ok ok", LORA, architectures=("lora",))
_DORA = replace(_LORA, composition="ok no no no error ok ok ok ok no ok unsound")
_SILENT = " ".join(["silent"] * 11 + ["unsound"])
_REFT = AdapterMethod(_SILENT, REFT, architectures=("reft",))

ADAPTER_METHODS: Registry[AdapterMethod] = Registry("method")
for _name in ("seq_bn", "double_seq_bn", "compacter", "compacter++"):
    ADAPTER_METHODS.add(_name, _BOTTLENECK)
for _name in ("seq_bn_inv", "double_seq_bn_inv"):
    ADAPTER_METHODS.add(_name, _INVERTIBLE)
for _name in ("par_bn", "scaled_par_bn"):
    ADAPTER_METHODS.add(_name, _PARALLEL)
for _name in ("lora", "ia3"):
    ADAPTER_METHODS.add(_name, _LORA)
ADAPTER_METHODS.add("dora", replace(_DORA, options=f"{LORA} use_dora", reads_weights=True))
ADAPTER_METHODS.add("vera", replace(_DORA, options=f"{LORA} vera_d vera_b", failure=_vera_failure))
ADAPTER_METHODS.add(
    "prefix_tuning",
    AdapterMethod(
        "ok no no no error ok ok ok no no ok unsound",
        "leave_out flat prefix_length bottleneck_size non_linearity dropout use_gating shared_gating",
        architectures=("prefix_tuning",),
    ),
)
ADAPTER_METHODS.add(
    "mam",
    AdapterMethod(
        "silent error error error error ok ok ok no no ok unsound",
        "",
        architectures=("union", "prefix_tuning", None),
    ),
)
ADAPTER_METHODS.add(
    "unipelt",
    AdapterMethod(
        "ok error error error error error error ok no no ok unsound",
        "",
        architectures=("union", "prefix_tuning", "lora", None),
    ),
)
ADAPTER_METHODS.add(
    "prompt_tuning",
    AdapterMethod(
        _SILENT, "prompt_length prompt_init combine", adds_tokens=True, architectures=("prompt_tuning",)
    ),
)
# Orthogonal matrices take minutes to draw.
ADAPTER_METHODS.add("loreft", replace(_REFT, quick={"orthogonality": False}))
ADAPTER_METHODS.add("noreft", _REFT)
ADAPTER_METHODS.add(SUBTRACTS_NOTHING, _REFT)


@dataclass(frozen=True)
class Method:
    """An adapter method and the options that differ from the library's defaults."""

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value!r}" for key, value in sorted(self.options.items()))
        return f"{self.name}[{options}]" if options else self.name

    @property
    def entry(self) -> AdapterMethod:
        """What is known of the method."""
        return ADAPTER_METHODS[self.name]

    @property
    def quick(self) -> Method:
        """A method of the same size that is quickly built."""
        return replace(self, options={**self.options, **self.entry.quick})

    @property
    def lengthens(self) -> bool:
        """Whether the method puts tokens of its own into the sequence."""
        return self.entry.adds_tokens

    @property
    def inverts(self) -> bool:
        """Whether the method has an invertible part at the embeddings, which acts below all adapters."""
        return self.entry.inverts or bool(self.options.get("inv_adapter"))

    @property
    def reads_weights(self) -> bool:
        """Whether the method computes with the weights of its layers: DoRA takes their norms."""
        return bool(self.options.get("use_dora", self.entry.reads_weights))

    def obstacle(self, block: str) -> str | None:
        """Why the method cannot stand in a block of the table, or None when it can.

        Example:
            >>> parse("lora").obstacle("Fuse")
            'the adapters library does not implement Fuse of lora'
            >>> parse("lora").obstacle("Stack") is None
            True
        """
        cell = self.entry.cells[block]
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
    return ADAPTER_METHODS.names()


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
    if name not in ADAPTER_METHODS:
        raise UnknownNameError("method", name, [*ADAPTER_METHODS, FULL])
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
    return method.entry.failure(options)


def _options(name: str, inside: str) -> dict[str, Value]:
    remedy = (
        f"write for instance '{name}[{next(iter(sorted(ADAPTER_METHODS[name].option_names)), 'option')}=1]'"
    )
    problem = SetupError(f"the options of method '{name}[{inside}]' cannot be read", remedy=remedy)
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise problem
        options: dict[str, Value] = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise problem
            known = ADAPTER_METHODS[name].option_names
            if keyword.arg not in known:
                raise UnknownNameError(f"option of method {name}", keyword.arg, known)
            options[keyword.arg] = ast.literal_eval(keyword.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise problem from error
    return options
