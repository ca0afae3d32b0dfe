import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError, SetupError
from adaptrans.modeling.setup.nodes import (
    NINE,
    NINE_REFERENCES,
    POLICIES,
    Adapter,
    Arithmetic,
    Average,
    Continue,
    Full,
    Fuse,
    LanguageSlot,
    Mix,
    Reference,
    Setup,
    Target,
)
from adaptrans.modeling.setup.parser import WORDS as RESERVED
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check

CANONICAL = [
    "full",
    "full(mnli)",
    "full(mnli + squad)",
    "adapter",
    "continue(mnli)",
    "mnli > target",
    "a > b > target",
    "fuse(mnli, squad) > target",
    "fuse(mnli, squad)",
    "average(mnli, qqp) > target",
    "average(0.7*mnli, 0.3*qqp) > target",
    "mnli + squad - qqp > target",
    "{lang} > mnli > target",
    "{lang} > fuse(mnli, squad)",
    "mnli > target @ keep-source",
    "mnli[de,zh-Hans]#3fa2c1 > target",
    "continue(hf://ann/mnli-base)",
    "./runs/mnli > target",
    "full(/data/runs/a)",
    '"my runs/a, b" > target',
    "mix(mnli + mlm) > target",
    "{lang} > mix(mnli[sw] + mlm[sw]) > target",
    "full(nine)",
    "full(nine + mlm)",
    "full(mlm + nine)",
    "mix(nine) > target",
    "fuse(nine) > target",
    "average(nine) > target",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_text_prints_itself(text):
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  mnli>target ", "mnli > target"),
        ("average( .70*mnli ,3e-1*qqp)>target@none", "average(0.7*mnli, 0.3*qqp) > target @ none"),
        ('continue("./a")', "continue(./a)"),
        ("mnli [ de , ru ] #ab12 > target", "mnli[de,ru]#ab12 > target"),
        ("mnli-small - qqp > target", "mnli-small - qqp > target"),
        ("average(2*20news,1*a--b) > target", "average(2.0*20news, 1.0*a--b) > target"),
        ("{ lang } > mnli\n> target", "{lang} > mnli > target"),
        ("nine>target", "mix(nine) > target"),
        ("a > nine > target", "a > mix(nine) > target"),
        (f"full({' + '.join(NINE)})", "full(nine)"),
        (f"full({' + '.join(reversed(NINE))})", f"full({' + '.join(reversed(NINE))})"),
    ],
)
def test_free_spelling_prints_canonically(text, canonical):
    assert str(parse(text)) == canonical


def test_tree_of_a_chain():
    tree = parse("{lang} > mnli[de] > ./b > target @ swap")
    assert tree.layers == (
        LanguageSlot(),
        Reference("mnli", ("de",)),
        Reference(address="./b"),
        Target(),
    )
    assert tree.policy == "swap"
    assert tree.references() == tree.layers[1:3]
    assert not tree.is_full
    with pytest.raises(AttributeError):
        tree.policy = "none"


WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}(-[a-z0-9_]{1,3})?", fullmatch=True).filter(
    lambda word: word not in (*RESERVED, "lang")
)
ADDRESSES = st.one_of(
    st.from_regex(r"(\./|/|~/|\.\./|hf://|s3://)[A-Za-z0-9_./#=+-]{1,12}", fullmatch=True),
    st.text(
        st.characters(exclude_characters='"', exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1
    ).filter(str.strip),
)
REFERENCES = st.one_of(
    st.builds(
        Reference,
        WORDS,
        st.lists(WORDS, max_size=3, unique=True).map(tuple),
        st.none() | st.from_regex(r"[0-9a-f]{4,12}", fullmatch=True),
    ),
    st.builds(Reference, address=ADDRESSES),
)
WEIGHTS = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)


def spread(sources):
    """References, with the nine tasks in the place of None."""
    return tuple(item for one in sources for item in ((one,) if one is not None else NINE_REFERENCES))


@st.composite
def setups(draw):
    pool = draw(st.lists(REFERENCES, min_size=2, max_size=9, unique=True))

    def take(least):
        size = draw(st.integers(least, max(least, len(pool) - 1)))
        taken, pool[:] = tuple(pool[:size]), pool[size:]
        return taken

    shape = draw(st.sampled_from(["full", "adapter", "continue", "chain"]))
    policy = draw(st.sampled_from([None, *POLICIES]))
    if draw(st.booleans()):
        pool.insert(draw(st.integers(0, len(pool))), None)
    if shape == "full":
        return Setup((Full(spread(take(draw(st.integers(0, 3))))),), policy)
    if shape in ("adapter", "continue"):
        pool = [item for item in pool if item is not None]
    if shape == "adapter":
        return Setup((Adapter(),), policy)
    if shape == "continue":
        return Setup((Continue(pool[0]),), policy)
    layers = [LanguageSlot()] if draw(st.booleans()) else []
    while len(pool) >= 2 and (not layers or draw(st.booleans())):
        layer = draw(st.sampled_from(["one", "mix", "fuse", "average", "weighted", "sum"]))
        if layer in ("weighted", "sum", "one") and None in pool:
            pool.remove(None)
        if layer == "one" or len(pool) < 2:
            layers.append(pool.pop(0))
            continue
        taken = spread(take(2))
        if layer == "mix":
            layers.append(Mix(taken))
        elif layer == "fuse":
            layers.append(Fuse(taken))
        elif layer == "average":
            layers.append(Average(taken))
        elif layer == "weighted":
            layers.append(Average(taken, tuple(draw(WEIGHTS) for _ in taken)))
        else:
            signs = [1, *(draw(st.sampled_from([1, -1])) for _ in taken[1:])]
            layers.append(Arithmetic(tuple(zip(signs, taken, strict=True))))
    if not isinstance(layers[-1], Fuse) or draw(st.booleans()):
        layers.append(Target())
    return Setup(tuple(layers), policy)


@given(setups())
@settings(max_examples=300, deadline=None)
def test_what_is_printed_parses_to_the_same_tree(tree):
    assert parse(str(tree)) == tree


SCRAPS = st.lists(
    st.sampled_from(
        [
            *"><()[]+-*@,#{}\"'.0 \n\x00é９\ud800",
            *("mnli", "full", "fuse", "average", "continue", "target", "adapter", "{lang}", "lang"),
            *("mix", "nine", "mix(", "nine)", " + ", " > target", "full(", "fuse("),
            *("hf://a", "./x", " 1.5", "swap", "#ab", "1e999"),
        ]
    ),
    max_size=12,
).map("".join)


def attempt(action):
    """The error of an action as a user sees it, or its result."""
    try:
        return action()
    except SetupError as error:
        return str(error)


@given(SCRAPS | st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_setup_or_a_setup_error_of_one_line(text):
    tree = attempt(lambda: parse(text))
    if isinstance(tree, str):
        assert "\n" not in tree
        assert ", position " in tree
        assert "; " in tree, "no remedy"
    else:
        assert parse(str(tree)) == tree


@given(
    setups(), st.sampled_from(["full", "seq_bn", "seq_bn_inv", "lora", "mam", "prompt_tuning"]), st.booleans()
)
@settings(max_examples=300, deadline=None)
def test_the_nearest_setup_of_a_refusal_runs(tree, method, retrieval):
    refusal = attempt(lambda: check(tree, method, retrieval=retrieval))
    if refusal:
        nearest = refusal.rpartition("nearest that runs: '")[2].rstrip("'")
        method = "full" if parse(nearest).is_full else method
        assert check(parse(nearest), method, retrieval=retrieval) is None


@pytest.mark.parametrize("value", [None, 3, ["mnli"], {"full": "mnli"}])
def test_what_is_not_text_is_a_setup_error(value):
    with pytest.raises(SetupError, match="a setup is text"):
        parse(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "position 1: the setup is empty"),
        ("mnli", "position 1: the setup has no 'target'; nearest: 'mnli > target'"),
        ("mnli > ", "position 8: expected a task name, found the end"),
        ("mnli > squad", "nearest: 'mnli > squad > target'"),
        ("mnli > targt", "did you mean 'target'?"),
        ("adaptor", "did you mean 'adapter'?"),
        ("Full", "did you mean 'full'?"),
        ("fues(mnli, squad)", "did you mean 'fuse('?"),
        ("fuse(mnli) > target", "nearest: 'mnli > target'"),
        ("fuse(a > b, c) > target", "a fusion of stacks does not run"),
        ("fuse(mnli, squad", "expected ')', found the end"),
        ("average(0.7*mnli, qqp) > target", "give every one a weight, or none"),
        ("average(0*mnli, 1*qqp) > target", "not above 0"),
        ("average(mnli, qqp)", "nearest: 'average(mnli, qqp) > target'"),
        ("full > target", "'full' stands alone"),
        ("mnli > adapter", "'adapter' stands alone"),
        ("target > mnli", "'target' is the last layer"),
        ("target", "write 'adapter'"),
        ("mnli > {lang} > target", "'{lang}' is the lowest layer"),
        ("{language} > target", "the only one is '{lang}'"),
        ("mnli > mnli > target", "'mnli' is named twice"),
        ("mnli > target @ keep", "did you mean 'keep-source'?"),
        ("mnli > target @", "expected a language policy, found the end"),
        ("full(mnli - squad)", "expected '+' or the closing bracket, found '-'"),
        ("mnli[] > target", "expected a language code, found ']'"),
        ("mnli[de,de] > target", "named twice"),
        ("adapter(mnli)", "write 'adapter' alone"),
        ("continue", "write for instance 'continue(mnli)'"),
        ("mix", "write for instance 'mix(mnli + squad)'"),
        ("mix(mnli) > target", "a mix needs two tasks or more; nearest: 'mnli > target'"),
        ("mix(mnli, squad) > target", "expected '+' or the closing bracket, found ','"),
        ("mix(mnli + squad)", "nearest: 'mix(mnli + squad) > target'"),
        ("nine", "nearest: 'mix(nine) > target'"),
        ("nine[de] > target", "'nine' stands for nine tasks in English, not for one adapter"),
        ("nine + mlm > target", "train them with others as 'mix(nine + mlm) > target'"),
        ("continue(nine)", "'nine' is a word of the grammar, not a task"),
        ("average(0.5*nine, 0.5*a) > target", "'nine' is a word of the grammar, not a task"),
        ("full(nine + mnli)", "'mnli' is named twice"),
        ("nine(a)", "write 'nine' alone"),
        ("mnli & qqp", "'&' cannot stand here"),
    ],
)
def test_message_names_position_and_remedy(text, message):
    with pytest.raises(SetupError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "position" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("full", []),
        ("adapter", []),
        ("full(mnli)", ["full(mnli)"]),
        ("continue(mnli)", ["mnli"]),
        ("a > b > target", ["a", "b"]),
        ("fuse(a, b) > target", ["fuse(a, b)"]),
        ("nine > target", ["mix(nine)"]),
    ],
)
def test_what_is_below_the_target(text, below):
    assert [str(layer) for layer in parse(text).below_target()] == below


@pytest.mark.parametrize("method", ["seq_bn", "lora", "prefix_tuning", "seq_bn[reduction_factor=8]"])
@pytest.mark.parametrize(
    "text",
    [
        *("full", "full(mnli)", "full(a + b)", "adapter", "continue(mnli)", "mnli > target"),
        *("a > b > target", "mix(a + b) > target", "full(nine)", "nine > target"),
    ],
)
@pytest.mark.parametrize("retrieval", [False, True])
def test_what_this_version_runs_is_not_refused(text, method, retrieval):
    check(parse(text), method, retrieval=retrieval)


@pytest.mark.parametrize(
    ("text", "method", "message"),
    [
        (
            "fuse(a, b) > target",
            "lora",
            "does not implement Fuse of lora; nearest that runs: 'average(a, b) > target'",
        ),
        ("fuse(a, b)", "prefix_tuning", "Fuse of prefix_tuning; nearest that runs: 'a > target'"),
        ("fuse(a, b) > target", "mam", "Fuse of mam fails in the adapters library"),
        (
            "a > fuse(b, c)",
            "ia3",
            "does not implement Fuse of ia3; nearest that runs: 'a > average(b, c) > target'",
        ),
        (
            "mnli > target",
            "prompt_tuning",
            "only one adapter would have an effect; nearest that runs: 'continue(",
        ),
        (
            "mnli > target",
            "seq_bn_inv",
            "has no effect above another adapter; nearest that runs: 'continue(mnli)'",
        ),
        ("mnli > target", "loreft", "the adapters library does not compose loreft"),
        ("mnli > target", "par_bn", "does not compose par_bn: only one adapter would have an effect"),
        (
            "average(a, b) > target",
            "prefix_tuning",
            "only bottlenecks, lora and ia3 are merged, not prefix_tuning; nearest that runs: 'a > target'",
        ),
        ("{lang} > fuse(a, b)", "lora", "nearest that runs: '{lang} > average(a, b) > target'"),
        ("{lang} > target", "par_bn", "nearest that runs: 'adapter'"),
        ("mnli > target @ swap", "seq_bn", "the policy 'swap' has no language adapter to act on"),
        ("full(a + b#12)", "full", "a mix is trained from tasks, not from stored runs; nearest that runs"),
        ("mix(a + b#12) > target", "seq_bn", "not from stored runs; nearest that runs: 'a > target'"),
        ("mix(a + b) > target", "full", "nearest that runs: 'full(a + b)'"),
        ("mix(a + b) > target", "prompt_tuning", "nearest that runs: 'adapter'"),
        ("mnli > target", "full", "nearest that runs: 'full(mnli)'"),
    ],
)
def test_what_cannot_run_is_refused_with_the_nearest(text, method, message):
    with pytest.raises(SetupError) as caught:
        check(parse(text), method, retrieval=False)
    assert message in str(caught.value)


def test_language_adapters_have_a_policy():
    for text in ("{lang} > target", "{lang} > a > target @ none", "{lang} > fuse(a, b) @ keep-source"):
        check(parse(text), "seq_bn")
    for text in ("{lang} > target", "{lang} > a > target @ none"):
        check(parse(text), "seq_bn", retrieval=True)


def test_a_fusion_is_refused_where_nothing_is_trained():
    for text in ("fuse(a, b)", "fuse(a, b) > target"):
        check(parse(text), "seq_bn")
        with pytest.raises(
            SetupError, match=r"has no training; nearest that runs: 'average\(a, b\) > target'"
        ):
            check(parse(text), "seq_bn", retrieval=True)


def test_retrieval_needs_no_stack_over_one_adapter():
    check(parse("mnli > target"), "prompt_tuning", retrieval=True)
    with pytest.raises(SetupError):
        check(parse("a > b > target"), "prompt_tuning", retrieval=True)


def test_unknown_method_is_a_near_name():
    with pytest.raises(AdaptransError, match='did you mean "seq_bn"'):
        check(parse("adapter"), "seqbn", retrieval=False)


def test_parsing_needs_no_torch():
    code = (
        "import sys, adaptrans.modeling.setup.parser, adaptrans.modeling.backbone; "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
