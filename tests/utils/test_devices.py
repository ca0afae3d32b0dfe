import pytest
import torch

from adaptrans.errors import ConfigError
from adaptrans.utils import devices
from adaptrans.utils.devices import pick_device, pick_precision, release_memory


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("name", "found"),
    [("auto", "cuda"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cpu:0", "cpu:0"), ("cpu", "cpu")],
)
def test_devices_that_are_there(two_cards, name, found):
    assert pick_device(name) == torch.device(found)


@pytest.mark.parametrize(
    "name", ["cuda:9", "cuda:2", "cuda:-1", "cuda:", "cuda:x", "cuda:01", "cpu:x", "cpu:1"]
)
def test_numbers_of_no_device_are_refused_with_those_there_are(two_cards, name):
    with pytest.raises(ConfigError, match=f'torch sees no device "{name}" here; choose from c') as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_without_a_card(no_card):
    assert pick_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="torch sees no cuda device here; use --device auto"):
            pick_device(name)


@pytest.mark.parametrize("name", ["tpu", "auto:1", "", ":0", "CPU"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match=f'unknown device "{name}"; choose from auto, cpu, cuda, mps'):
        pick_device(name)


def test_precision():
    cpu = torch.device("cpu")
    assert pick_precision("bf16", cpu) == "bf16"
    assert pick_precision("auto", cpu) in ("fp32", "bf16")
    with pytest.raises(ConfigError, match='unknown precision "fp8"'):
        pick_precision("fp8", cpu)


def test_memory_is_spared_once_it_has_ended(monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "spare_memory", asked.append)
    release_memory(torch.device("cpu"))
    assert asked == [True]
