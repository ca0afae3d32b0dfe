"""A base, and artifacts trained on it as far as tests need: fresh weights with noise."""

from pathlib import Path

import pytest

from adaptrans.modeling.backbone import identify
from adaptrans.modeling.setup.parser import parse


@pytest.fixture(scope="session")
def base(tiny_backbone, tmp_path_factory):
    return identify(tiny_backbone, tmp_path_factory.mktemp("hashes"))


def spec(kind: str, name: str | None = None):
    from adaptrans.modeling.heads import HeadSpec

    names, labels = {
        "classification": ("xnli", ("entailment", "neutral", "contradiction")),
        "tagging": ("panx", ("O", "B-PER", "I-PER", "B-LOC")),
        "span_qa": ("xquad", ()),
        "multiple_choice": ("xcopa", ("0", "1")),
        "passage_ranking": ("lareqa", tuple(map(str, range(6)))),
        "mlm": ("text", ()),
    }[kind]
    return HeadSpec(name or names, kind, labels)


def batch_of(kind: str):
    import torch

    generator = torch.Generator().manual_seed(3)
    shape = (3, 2, 11) if kind == "multiple_choice" else (3, 11)
    ids = torch.randint(4, 990, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.long)
    ids[..., 0] = 0
    ids[-1, ..., 8:] = 1
    mask[-1, ..., 8:] = 0
    labels = {"labels": torch.zeros(3, dtype=torch.long)}
    hidden = {"hidden": ids % 3 == 0} if kind == "mlm" else {}
    return {"input_ids": ids, "attention_mask": mask, **labels, **hidden}


def shaken(assembled, seed: int = 0):
    """Move every trained weight, as training would; many methods start with no effect at all."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in assembled.model.named_parameters():
            # An orthogonal matrix is computed from what it is stored as, whose signs are 1 or -1.
            if name in assembled.trained and ".parametrizations." not in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return assembled


def answers(assembled, batch):
    """What the head answers, one tensor for each of its outputs."""
    import torch

    with torch.inference_mode():
        output = assembled(batch)
    return [value.contiguous() for value in (output if isinstance(output, tuple) else (output,))]


def same(one, other, batch):
    """Whether two models answer alike, to the last bit."""
    import torch

    pairs = zip(answers(one, batch), answers(other, batch), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="session")
def build(base):
    """`build(text, head, parents, method=, ...)`: assembled, with trained weights moved; see `assemble`."""

    def make(text, head, parents=None, *, method="seq_bn", backbone=None, seed=1, shake=True, **options):
        from adaptrans.modeling.model import SetupModel

        assembled = SetupModel.from_setup(
            backbone or base,
            parse(text),
            target=head.name if head else None,
            head=head,
            method=method,
            parents=parents or {},
            seed=seed,
            **options,
        )
        return shaken(assembled) if shake else assembled

    return make


def by_hand(base, artifact, text, parents, target):
    """The model of a setup from the library's own calls and nothing of ours, without merges."""
    from adapters import Fuse, Stack, XLMRobertaAdapterModel

    whole = text.startswith("full")
    model = XLMRobertaAdapterModel.from_pretrained(artifact / "backbone" if whole else base.path)
    stack = []

    def load(folder):
        model.load_adapter(str(folder), with_head=False, use_safetensors=True)
        return folder.name

    for layer in () if whole else text.split(" > "):
        if layer.startswith("fuse("):
            members = [load(parents[name] / "adapters" / name) for name in layer[5:-1].split(", ")]
            fusion = artifact / "fusions" / target
            model.load_adapter_fusion(str(fusion), set_active=False, with_head=False, use_safetensors=True)
            stack.append(Fuse(*members, name=target))
        elif layer in parents:
            stack.append(load(parents[layer] / "adapters" / layer))
        else:
            stack.append(load(artifact / "adapters" / target))
    model.load_head(str(artifact / "heads" / target), use_safetensors=True)
    if stack:
        model.set_active_adapters(Stack(*stack) if len(stack) > 1 else stack[0])
    model.active_head = target
    return model.eval()


@pytest.fixture(scope="session")
def parents(build, tmp_path_factory) -> dict[str, Path]:
    """Artifacts of four intermediate tasks by reference: three adapters, and a whole model `whole`."""

    folder = tmp_path_factory.mktemp("parents")
    for seed, name in enumerate(("mnli", "squad", "qqp", "whole"), start=10):
        text = "full" if name == "whole" else "adapter"
        assembled = shaken(build(text, spec("classification", name), seed=seed), seed)
        assembled.save(folder / name)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def tools():
    """The helpers above, which a test module cannot import."""

    class Tools:
        pass

    for helper in (spec, batch_of, shaken, answers, same, by_hand):
        setattr(Tools, helper.__name__, staticmethod(helper))
    return Tools
