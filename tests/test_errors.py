import pickle
import socket
import urllib.error
from pathlib import Path

import pytest
import requests

from adaptrans import errors
from adaptrans.errors import AdaptransError, DataError, UnknownNameError

PLAIN = [
    errors.MissingDataError, errors.SetupError, errors.ConfigError, errors.ArtifactError, errors.TrainingError
]  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN)
def test_every_failure_is_one_line_with_its_remedy(kind):
    error = kind("it is\n  broken", remedy="mend\tit")
    assert isinstance(error, AdaptransError)
    assert str(error) == "it is broken; mend it"
    assert (error.message, error.remedy) == ("it is\n  broken", "mend\tit")
    assert str(kind("it is broken")) == "it is broken"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("xnil", "xnli"),
        ("XNLI", "xnli"),
        ("xnli_", "xnli"),
        ("Pan-X", "panx"),
        ("PANX", "panx"),
        ("udpso", "UDPOS"),
    ],
)
def test_the_nearest_name_is_suggested_whatever_its_case(name, nearest):
    error = UnknownNameError("task", name, ["xnli", "panx", "UDPOS"])
    assert str(error) == f'unknown task "{name}"; did you mean "{nearest}"?'
    assert error.name == name


def test_without_a_near_name_few_are_listed_and_many_counted():
    assert str(UnknownNameError("task", "qqq", ["b", "a"])) == 'unknown task "qqq"; choose from a, b'
    many = [f"name{i}" for i in range(21)]
    assert str(UnknownNameError("task", "qqq", many)) == 'unknown task "qqq"; 21 are known'
    assert str(UnknownNameError("task", "qqq", [])) == 'unknown task "qqq"; none is known'


def test_a_remedy_follows_the_suggestion():
    error = UnknownNameError("task", "xnil", iter(["xnli"]), remedy="see `adaptrans ls`")
    assert str(error) == 'unknown task "xnil"; did you mean "xnli"? (see `adaptrans ls`)'


def test_data_errors_name_file_and_line():
    error = DataError("expected 3 columns", "data/dev.tsv", 7, remedy="check it")
    assert str(error) == "data/dev.tsv:7: expected 3 columns; check it"
    assert (error.path, error.line) == (Path("data/dev.tsv"), 7)
    assert str(DataError("is empty", Path("dev.tsv"))) == "dev.tsv: is empty"
    assert str(DataError("is empty", Path("dev.tsv"), 0)) == "dev.tsv:0: is empty"


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("task", "xnil", ["xnli"]),
        DataError("expected 3 columns", "data/dev.tsv", 7, remedy="check it"),
        errors.ConfigError("it is broken", remedy="mend it"),
    ],
)
def test_errors_come_back_whole_from_another_process(error):
    # Our own bytes: errors cross process boundaries (multiprocessing) by pickle.
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_names_with_little_in_common_are_not_suggested():
    told = str(UnknownNameError("option", "nosuch", ["epochs", "batch_size"]))
    assert told == 'unknown option "nosuch"; choose from batch_size, epochs'


def test_what_is_known_to_be_meant_is_suggested():
    assert 'did you mean "b"?' in str(UnknownNameError("letter", "x", ["a", "b"], near="b"))
    many = [f"name{i}" for i in range(21)]
    error = UnknownNameError("name", "name22", many, near="", remedy="add it")
    assert str(error) == 'unknown name "name22"; add it'


NETWORK = "check the network and the address, or add --offline and use what is on this machine"
PLACE = "check the path, its permissions and the space left"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (requests.ConnectionError("no route"), NETWORK),
        (requests.HTTPError("503 Server Error"), NETWORK),
        (urllib.error.URLError("no route"), NETWORK),
        (socket.gaierror(-2, "Name or service not known"), NETWORK),
        (ConnectionResetError(104, "Connection reset by peer"), NETWORK),
        (TimeoutError("timed out"), NETWORK),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), PLACE),
        (PermissionError(13, "Permission denied"), PLACE),
        (BrokenPipeError(32, "Broken pipe"), PLACE),
        (MemoryError(), "free memory, or lower tokens_per_batch with --set tokens_per_batch=2048"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_of_network_and_machine_have_remedies_of_their_own(error, remedy):
    assert errors.one_line(error).endswith(f"; {remedy}")
