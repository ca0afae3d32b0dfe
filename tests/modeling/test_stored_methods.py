"""An adapter of every method is the same adapter after it was stored, and under gradient checkpointing."""

import pytest
import torch

from adaptrans.modeling import adapter_methods

OPTIONS = {"compacter": "[reduction_factor=4]", "compacter++": "[reduction_factor=4]"}
EVERY = [f"{name}{OPTIONS.get(name, '')}" for name in adapter_methods.names()]


@pytest.mark.parametrize("method", EVERY)
def test_a_stored_adapter_is_the_same_below_a_setup_and_continued(build, tools, tmp_path, method):
    # The library's own file of a direft makes a noreft of it.
    trained = build("adapter", tools.spec("classification", "mnli"), method=method)
    trained.save(tmp_path / "mnli")
    parents = {"mnli": tmp_path / "mnli"}
    batch = tools.batch_of("tagging")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    continued = build("continue(mnli)", tools.spec("classification"), parents, method=method, shake=False)
    below = build("mnli > target", None, parents, method=method)
    with torch.inference_mode():
        wanted = trained.model.base_model(**inputs).last_hidden_state
        assert torch.equal(continued.model.base_model(**inputs).last_hidden_state, wanted)
        assert torch.equal(below.model.base_model(**inputs).last_hidden_state, wanted)


@pytest.mark.parametrize(
    "method", ["seq_bn", "unipelt", "prompt_tuning", "prefix_tuning", "noreft", "vera", "ia3"]
)
def test_checkpointed_activations_give_the_same_gradients_with_padding(build, tools, method):
    from adaptrans.modeling.efficiency.frozen_weights import checkpoint_activations

    batch, gradients = tools.batch_of("classification"), []
    for again in (False, True):
        assembled = build("adapter", tools.spec("classification"), method=method)
        if again:
            checkpoint_activations(assembled.model)
        assembled.model.train()
        torch.manual_seed(0)
        assembled(batch).square().sum().backward()
        own = dict(assembled.model.named_parameters())
        gradients.append([own[name].grad for name in assembled.trained])
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-5)
