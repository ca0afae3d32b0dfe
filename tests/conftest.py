"""Fixtures for every test: the shared data folder and a tiny random backbone."""

import math
import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["support.smalldata", "support.models"]

# A slow machine is no failure; and continuous integration tries the same examples every time.
settings.register_profile("adaptrans", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("adaptrans")

# Real sentences, so that the tokenizer meets the scripts it has to split: Latin, Cyrillic, Han,
# Arabic, Thai, Devanagari, Hangul, kana, Greek. Articles 1, 3 and 5 of the Universal Declaration of
# Human Rights and a few plain sentences.
TEXT = """
All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.
Everyone has the right to life, liberty and security of person. The cat sits on the mat, doesn't it?
No one shall be subjected to torture. Where is the library? It was opened in 1987 by Anna Miller in London.
Does the first sentence mean the same as the second one? I think that it does not. Yes, no, maybe, never.
The man who lived in the house bought seven apples for his daughter because she was hungry after school.
Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.
Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person. Im Jahr 1987 in Berlin.
Todos los seres humanos nacen libres e iguales en dignidad y derechos. Todo individuo tiene derecho a la vida.
Nadie será sometido a torturas. ¿Dónde está la biblioteca? El gato está sobre la mesa de la cocina.
Tous les êtres humains naissent libres et égaux en dignité et en droits. Tout individu a droit à la vie.
Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.
Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность. Где находится библиотека?
人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。人人有权享有生命、自由和人身安全。
图书馆在哪里？这个孩子买了七个苹果，因为她放学以后很饿。他不喜欢这本书。
يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. لكل فرد الحق في الحياة والحرية وسلامة شخصه. أين المكتبة؟
Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Kila mtu ana haki ya kuishi, uhuru.
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ คนทุกคนมีสิทธิในการดำรงชีวิต ห้องสมุดอยู่ที่ไหน
Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Yaşamak, hürriyet herkesin hakkıdır.
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। पुस्तकालय कहाँ है?
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 도서관은 어디에 있습니까?
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。図書館はどこですか。
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Πού είναι η βιβλιοθήκη;
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Thư viện ở đâu?
Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Di mana perpustakaan itu?
Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt. Kus asub raamatukogu?
Tukuy kay pachapi paqarimujkuna libres nasekuntu tukuypunitaj kikin obligacionesniycjllataj. Maypitaq?
a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
0 1 2 3 4 5 6 7 8 9 . , ; : ! ? ( ) [ ] " ' - + * / % & @ # 2020 1999 10 25 100 3.5
"""
VOCABULARY = 1000
SPECIALS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


def pieces(text: str, size: int) -> list[tuple[str, float]]:
    """The `size` word pieces of a text that cover most of it, each with the log of its frequency.

    All single characters are among them. Counted and not trained, because the library's Unigram
    trainer gives another vocabulary in every process.
    """
    words = Counter(f"▁{word}" for word in text.split())
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + 12) + 1):
                counts[word[start:end]] += times
    singles = sorted(piece for piece in counts if len(piece) == 1)
    longer = sorted(
        (piece for piece in counts if len(piece) > 1 and counts[piece] > 1),
        key=lambda piece: (-counts[piece] * (len(piece) - 1), piece),
    )
    chosen = singles + longer[: size - len(singles)]
    total = sum(counts[piece] for piece in chosen)
    return [(piece, round(math.log(counts[piece] / total), 4)) for piece in chosen]


def make_tokenizer():
    """Return a Unigram tokenizer of the same form as XLM-R's, over the pieces of `TEXT`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    vocabulary = [(name, 0.0) for name in SPECIALS]
    vocabulary += pieces(unicodedata.normalize("NFKC", TEXT), VOCABULARY - len(SPECIALS) - 1)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIALS["<unk>"]))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", SPECIALS["<s>"]), ("</s>", SPECIALS["</s>"])],
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=512)


def make_backbone(
    folder: Path,
    *,
    depth: int = 4,
    width: int = 32,
    vocabulary: int | None = None,
    seed: int = 7,
    mlm: bool = True,
) -> Path:
    """Save a random XLM-R with its tokenizer in `folder`, as safetensors, and return the folder.

    Weights are drawn wider than XLM-R's 0.02, otherwise all outputs of such a small model are
    nearly equal and a test of "the logits differ" would prove nothing.
    """
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

    tokenizer = make_tokenizer()
    config = XLMRobertaConfig(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.2,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (XLMRobertaForMaskedLM if mlm else XLMRobertaModel)(config)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def hash_cache(tmp_path_factory):
    """Keeps the tests' file hashes out of the user's cache."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ADAPTRANS_CACHE", str(tmp_path_factory.mktemp("hashes")))
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of original data files that ADAPTRANS_DATA names."""
    name = os.environ.get("ADAPTRANS_DATA")
    if not name:
        pytest.skip("needs real data: set ADAPTRANS_DATA to the folder of the original data files")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"ADAPTRANS_DATA names {folder}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory) -> Path:
    """A folder with a random XLM-R of 4 layers x 32 and its tokenizer; never write into it."""
    return make_backbone(tmp_path_factory.mktemp("backbone") / "tiny")


@pytest.fixture(scope="session")
def backbone_maker():
    """`make_backbone(folder, depth=, width=, vocabulary=, seed=, mlm=)`, for other sizes."""
    return make_backbone
