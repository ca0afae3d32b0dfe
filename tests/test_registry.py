import subprocess
import sys

import pytest

from adaptrans.errors import UnknownNameError
from adaptrans.registry import Registry


@pytest.fixture
def colours():
    registry = Registry("colour")
    registry.add("red", 1)
    registry.add("blue", 2)
    return registry


def test_lookup_names_and_membership(colours):
    assert (colours["red"], colours["blue"]) == (1, 2)
    assert colours.names() == list(colours) == ["blue", "red"]
    assert "red" in colours
    assert "green" not in colours


def test_a_name_is_registered_once(colours):
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours.add("red", 3)
    assert colours["red"] == 1


def test_an_unknown_name_suggests_the_nearest(colours):
    with pytest.raises(UnknownNameError, match=r'unknown colour "blu"; did you mean "blue"\?') as caught:
        colours["blu"]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_decorator_returns_what_it_registers(colours):
    @colours.register("green")
    def green():
        return 3

    assert colours["green"] is green
    assert green() == 3
    with pytest.raises(ValueError, match="twice"):
        colours.register("green")(green)


def test_a_lazy_target_is_imported_at_its_first_lookup():
    code = (
        "import sys; from adaptrans.registry import Registry\n"
        "registry = Registry('thing'); registry.add('w', 'wave:open')\n"
        "assert registry.names() == ['w'] and 'w' in registry and 'wave' not in sys.modules\n"
        "import wave; assert registry['w'] is wave.open and registry['w'] is wave.open\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_broken_lazy_target_is_not_called_an_unknown_name():
    registry = Registry("thing")
    registry.add("gone", "no_such_module:x")
    registry.add("half", "math:no_such_name")
    with pytest.raises(ModuleNotFoundError):
        registry["gone"]
    with pytest.raises(AttributeError):
        registry["half"]


def test_kinds_are_listed_without_importing_torch():
    code = (
        "import sys, adaptrans.hub.store, adaptrans.data.batches; from adaptrans.tasks.kinds import KINDS\n"
        "KINDS.names(); assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
