import pytest

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.runs.training_args import TrainingConfig, evaluation_config, training_config


def test_later_layers_win_and_none_is_not_given():
    config = training_config({"epochs": 5, "batch_size": 8}, {"epochs": 2, "batch_size": None})
    assert (config.epochs, config.batch_size) == (2, 8)


def test_unknown_option_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r'unknown option in training of xnli "epoch"; did you mean "epochs"'
    ):
        training_config({"epoch": 3}, where="training of xnli")


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", "many"), ("batch_size", -1), ("precision", "fp8"), ("lr_scheduler", "cosine")],
)
def test_impossible_value_names_field_and_value(name, value):
    with pytest.raises(ConfigError, match=f"{name} = ") as caught:
        training_config({name: value})
    assert "\n" not in str(caught.value)


def test_rates_default_by_what_is_trained():
    assert TrainingConfig().rate(whole_model=True) == 2e-5
    assert TrainingConfig().rate(whole_model=False) == 1e-4
    assert TrainingConfig(learning_rate=3e-4).rate(whole_model=True) == 3e-4


def test_inputs_hold_all_that_can_change_a_result_and_nothing_else():
    inputs = TrainingConfig().inputs(whole_model=False)
    left_out = set(TrainingConfig.model_fields) - set(inputs)
    fusion = {"fusion_learning_rate", "fusion_regularization"}
    mix = {"mixing", "mixing_cap", "mixing_temperature", "mixing_weights"}
    text, shares = {"language_smoothing"}, {"mixing_shares"}
    never = {"checkpoint_seconds", "log_every", "freeze_embeddings", "trim_vocabulary"}
    never |= {"gradient_checkpointing", "memory_budget", "frozen_prefix_gib"}
    # The key of a run has what they come to on its backbone, see tests/evaluation/test_text_prefix.py.
    never |= {"text_prefix", "passage_prefix"}
    assert left_out == {*never, *fusion, *mix, *text, *shares}
    for name, value in {"frozen_prefix_cache": "bf16", "quantize": "4bit", "warmup_steps": 0}.items():
        assert TrainingConfig(**{name: value}).inputs(whole_model=False) == {**inputs, name: value}
    frozen = TrainingConfig(freeze_embeddings=True)
    assert frozen.inputs(whole_model=False) == inputs
    assert set(frozen.inputs(whole_model=True)) - set(inputs) == {"freeze_embeddings"}
    assert set(TrainingConfig().inputs(whole_model=True, mix=True)) - set(inputs) == mix | shares
    assert set(TrainingConfig().inputs(whole_model=True, text=True)) - set(inputs) == text
    shared = TrainingConfig(mixing_shares={"mlm": 0.1}).inputs(whole_model=True, mix=True)
    assert set(shared) - set(inputs) == mix | shares
    with_fusion = TrainingConfig().inputs(whole_model=False, fusion=True)
    assert set(with_fusion) - set(inputs) == fusion


def test_a_cut_vocabulary_is_part_of_the_key_where_decay_makes_it_matter():
    def key(whole_model, **options):
        return TrainingConfig(**options).inputs(whole_model)

    assert key(False, trim_vocabulary=False, weight_decay=0.1) == key(False, weight_decay=0.1)
    assert key(True, trim_vocabulary=True) == key(True)
    assert key(True, trim_vocabulary=True, weight_decay=0.1) != key(True, weight_decay=0.1)


def test_a_fusion_learns_at_its_own_rate_or_at_the_one_that_is_given():
    assert TrainingConfig().resolved(False).fusion_learning_rate == 5e-5
    assert TrainingConfig(learning_rate=1e-3).resolved(False).fusion_learning_rate == 1e-3
    both = TrainingConfig(learning_rate=1e-3, fusion_learning_rate=2e-4).resolved(False)
    assert (both.learning_rate, both.fusion_learning_rate) == (1e-3, 2e-4)
    assert both.resolved(False) == both


def test_the_best_layer_and_its_half_belong_together():
    with pytest.raises(ConfigError, match="belong together"):
        evaluation_config({"layer": "best"})
    with pytest.raises(ConfigError, match="belong together"):
        evaluation_config({"select": {"language": "de"}})
    assert evaluation_config({"layer": "best", "select": {"language": "de"}}).select.half == "first"


def test_a_memory_budget_is_an_amount_with_its_unit():
    assert training_config({"memory_budget": "8GB"}).memory_budget == "8GB"
    for wrong in ("8", "8XB"):
        with pytest.raises(ConfigError, match=r"(?i)memory_budget = '8.*'[;:] write for instance 8GB"):
            training_config({"memory_budget": wrong})
