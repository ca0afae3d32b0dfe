import pytest

from adaptrans.errors import AdaptransError, SetupError, UnknownNameError
from adaptrans.modeling import adapter_methods

CELLS = {name: adapter_methods.ADAPTER_METHODS[name].cells for name in adapter_methods.names()}
OPTIONS_OF = {name: adapter_methods.ADAPTER_METHODS[name].option_names for name in adapter_methods.names()}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("seq_bn", "seq_bn"),
        ("seq_bn[]", "seq_bn"),
        (
            "seq_bn[ reduction_factor = 8 , leave_out=[10, 11]]",
            "seq_bn[leave_out=[10, 11],reduction_factor=8]",
        ),
        ("lora[r=4,attn_matrices=['q']]", "lora[attn_matrices=['q'],r=4]"),
        ("seq_bn[non_linearity='a]b[']", "seq_bn[non_linearity='a]b[']"),
    ],
)
def test_methods_print_canonically_and_parse_again(text, canonical):
    method = adapter_methods.parse(text)
    assert str(method) == canonical
    assert adapter_methods.parse(canonical) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seqbn", 'did you mean "seq_bn"?'),
        ("pfeiffer", "now called 'seq_bn'"),
        ("lora[reduction_factor=4]", 'unknown option of method lora "reduction_factor"'),
        ("seq_bn[reduction=4]", 'did you mean "reduction_factor"?'),
        ("mam[r=4]", "unknown option of method mam"),
    ],
)
def test_unknown_names_have_suggestions(text, message):
    with pytest.raises(UnknownNameError) as caught:
        adapter_methods.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "seq_bn|lora", "seq_bn[16]", "seq_bn[reduction_factor=]", "seq_bn[reduction_factor=open('x')]"),
        *("seq_bn[**{}]", "seq_bn[dropout=0.1", "seq_bn[dropout=0.1)(]", None, f"seq_bn[{'(' * 5000}]"),
    ],
)
def test_unreadable_methods_are_setup_errors(text):
    with pytest.raises(SetupError) as caught:
        adapter_methods.parse(text)
    assert "\n" not in str(caught.value)


def test_every_method_has_a_row_and_options():
    for name, row in CELLS.items():
        assert set(row) == set(adapter_methods.BLOCKS), name
        assert set(row.values()) <= {"ok", *adapter_methods.REASONS}, name


def test_which_methods_stack():
    others = {"par_bn", "scaled_par_bn", "mam", "prompt_tuning", "loreft", "noreft", "direft"}
    assert {
        name for name in adapter_methods.names() if adapter_methods.parse(name).obstacle("Stack")
    } == others


@pytest.mark.parametrize("name", ["prompt_tuning", "loreft"])
@pytest.mark.parametrize("block", [block for block in adapter_methods.BLOCKS if block != "Merge"])
def test_methods_that_ignore_composition_are_refused_everywhere(name, block):
    assert "only one adapter" in adapter_methods.parse(name).obstacle(block)


def test_fusion_is_for_bottlenecks():
    allowed = {
        name for name in adapter_methods.names() if adapter_methods.parse(name).obstacle("Fuse") is None
    }
    assert allowed == {
        "seq_bn",
        "double_seq_bn",
        "par_bn",
        "scaled_par_bn",
        "compacter",
        "compacter++",
    }
    assert "only the first one's invertible part" in adapter_methods.parse("seq_bn_inv").obstacle("Fuse")


def test_what_is_merged():
    allowed = {
        name for name in adapter_methods.names() if adapter_methods.parse(name).obstacle("Merge") is None
    }
    bottlenecks = {name for name, options in OPTIONS_OF.items() if "mh_adapter" in options}
    assert allowed == {*bottlenecks, "lora", "ia3"}


def test_full_is_not_an_adapter_method_but_is_suggested():
    with pytest.raises(AdaptransError, match='did you mean "full"'):
        adapter_methods.parse("ful")


@pytest.mark.parametrize("value", ["first", "first:9", [4], [-1], 3, ["last"], [True]])
def test_layers_that_are_none_are_refused(value):
    with pytest.raises(AdaptransError, match=r"write 'last', 'first:6', or a list of layers from 0 to 3"):
        adapter_methods.left_out(value, 4)


OPTIONED = [
    *("seq_bn", "seq_bn[reduction_factor=8,leave_out='last']", "double_seq_bn", "seq_bn_inv", "par_bn"),
    *(
        "compacter[reduction_factor=4]",
        "lora[r=4,alpha=8]",
        "ia3",
        "prefix_tuning[flat=True]",
        "mam",
        "unipelt",
    ),
]
FORMS = [
    *("adapter", "continue(a)", "a > target", "a > b > target", "fuse(a, b)", "fuse(a, b) > target"),
    *("c > fuse(a, b)", "average(a, b) > target", "a + b - c > target", "{lang} > target"),
    *("{lang} > a > target", "{lang} > fuse(a, b) > target", "mix(a + b) > target"),
]
# What of them runs with each method: + runs, - refused. The rows of the methods say why.
RUNS = {
    "seq_bn": "+++++++++++++",
    "seq_bn[leave_out='last',reduction_factor=8]": "+++++++++++++",
    "double_seq_bn": "+++++++++++++",
    "seq_bn_inv": "++-----------",
    "par_bn": "++--+--------",
    "compacter[reduction_factor=4]": "+++++++++++++",
    "lora[alpha=8,r=4]": "++++---++++-+",
    "ia3": "++++---++++-+",
    "prefix_tuning[flat=True]": "++++-----++-+",
    "mam": "++-----------",
    "unipelt": "++++-----++-+",
}


@pytest.mark.parametrize("method", OPTIONED)
def test_every_form_runs_or_is_refused_with_one_that_runs(method):
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.modeling.setup.validation import check

    def refusal(text, retrieval=False):
        try:
            check(parse(text), method, retrieval=retrieval)
        except SetupError as caught:
            return str(caught)
        return ""

    found = "".join("-" if refusal(text) else "+" for text in FORMS)
    for text in FORMS:
        for retrieval in (False, True):
            said = refusal(text, retrieval)
            nearest = said.partition("nearest that runs: '")[2].rstrip("'")
            assert not said or (nearest and not refusal(nearest, retrieval)), said
    assert found == RUNS[str(adapter_methods.parse(method))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seq_bn[inv_adapter='glow',inv_adapter_reduction_factor=2]",
            "fails in the adapters library; write inv",
        ),
        (
            "vera[vera_d=1]",
            "vera_d that is no decimal number makes a lora of it; write for instance vera_d=0.1",
        ),
        ("vera[vera_b=None]", "vera_b that is no decimal number"),
        ("vera[output_lora=True]", "these layers have other shapes; choose one kind of layer"),
    ],
)
def test_options_that_fail_in_the_first_forward_pass_are_refused(text, message):
    with pytest.raises(SetupError) as caught:
        adapter_methods.parse(text)
    assert message in str(caught.value)


def test_layers_are_those_of_the_encoder():
    for value in ("all", [0, 3]):
        adapter_methods.check_layers(value, 4)
    for value in ([], [0, 4], [-1], "last", [True], None):
        with pytest.raises(SetupError, match="names no layers of an encoder with 4"):
            adapter_methods.check_layers(value, 4)
