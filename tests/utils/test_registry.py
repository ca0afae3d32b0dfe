import subprocess
import sys

import pytest

from adaptrans.errors import UnknownNameError
from adaptrans.utils.registry import Registry


@pytest.fixture
def colors():
    registry = Registry("color")
    registry.add("red", 1)
    registry.add("blue", 2)
    return registry


def test_lookup_names_and_membership(colors):
    assert (colors["red"], colors["blue"]) == (1, 2)
    assert colors.names() == list(colors) == ["blue", "red"]
    assert "red" in colors
    assert "green" not in colors


def test_a_name_is_registered_once(colors):
    with pytest.raises(ValueError, match="color 'red' is registered twice"):
        colors.add("red", 3)
    assert colors["red"] == 1


def test_an_unknown_name_suggests_the_nearest(colors):
    with pytest.raises(UnknownNameError, match=r'unknown color "blu"; did you mean "blue"\?') as caught:
        colors["blu"]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_decorator_returns_what_it_registers(colors):
    @colors.register("green")
    def green():
        return 3

    assert colors["green"] is green
    assert green() == 3
    with pytest.raises(ValueError, match="twice"):
        colors.register("green")(green)


def test_a_lazy_target_is_imported_at_its_first_lookup():
    code = (
        "import sys; from adaptrans.utils.registry import Registry\n"
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
        "import sys, adaptrans.runs.store, adaptrans.data.batching\n"
        "from adaptrans.task_types.base import TASK_TYPES\n"
        "TASK_TYPES.names(); assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
