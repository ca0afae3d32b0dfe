"""Special pieces around texts come from the tokenizer's file, whatever class its configuration names."""

import json
import shutil

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaTokenizerFast

from adaptrans.task_types.inputs import pair_frame
from adaptrans.task_types.span_qa import Answer, SpanQA, SpanQAExample
from adaptrans.tasks import catalogue

KIND = SpanQA()
encode = KIND.encode


@pytest.fixture(scope="module")
def both(tiny_backbone, tmp_path_factory):
    """One tokenizer file as XLM-R's class reads it, and as the general class does."""
    folder = shutil.copytree(tiny_backbone, tmp_path_factory.mktemp("general") / "b")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    found = tuple(AutoTokenizer.from_pretrained(str(place)) for place in (tiny_backbone, folder))
    assert [type(one) for one in found] == [XLMRobertaTokenizerFast, PreTrainedTokenizerFast]
    return found


def test_the_frame_is_that_of_the_template(both):
    for tokenizer in both:
        frame = pair_frame(tokenizer)
        assert (frame.before, frame.between, frame.after, frame.size) == ((0,), (2, 2), (2,), 4)
        texts = ("Anna", "the cat")
        first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
        assert frame.around(first, second) == tokenizer(*texts)["input_ids"]


def test_a_passage_in_windows_has_its_special_pieces_in_both(both):
    context = "The cat sits on the mat. " * 12
    example = SpanQAExample("1", "Where is the cat?", context, (Answer("mat", context.index("mat")),))
    one, other = (encode([example], tokenizer, catalogue.get("xquad"), 40, True) for tokenizer in both)
    assert len(one) > 1
    assert one == other
    for feature in one:
        assert feature["input_ids"][0] == 0
        assert feature["input_ids"][-1] == 2
        assert feature["input_ids"][feature["first_piece"] - 2 : feature["first_piece"]] == [2, 2]
        assert len(feature["input_ids"]) == feature["first_piece"] + len(feature["char_starts"]) + 1
