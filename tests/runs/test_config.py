import pytest

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.runs.config import TrainingConfig, training_config


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
    [("epochs", 0), ("epochs", "many"), ("batch_size", -1), ("precision", "fp8"), ("decay", "cosine")],
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
    assert left_out == {"checkpoint_seconds", "log_every"}
