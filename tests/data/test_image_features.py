import json
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from adaptrans.data.image_features import ImageFeatures
from adaptrans.errors import DataError

IDS = ["cat", "dog", "été"]
BOX = [0.0, 0.25, 0.5, 1.0]


def numbers(shape=(3, 2, 4), dtype="float16"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def written(folder, form, *, ids=IDS, **arrays):
    path = folder / f"pictures.{form.removesuffix('+')}"
    if form == "safetensors":
        save_file(arrays, path, metadata={"ids": json.dumps(list(ids))})
    else:
        (np.savez_compressed if form == "npz+" else np.savez)(path, ids=np.array(ids), **arrays)
    return path


FORMS = ["npz", "npz+", "safetensors"]


def refusal(path, act=lambda features: features.check(), **options):
    with pytest.raises(DataError) as caught:
        act(ImageFeatures(path, **options))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert ";" in text
    assert caught.value.exit_code == 2
    return text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 4), (3, 2, 5, 4)])
def test_each_image_gets_its_own_numbers_back(tmp_path, form, dtype, shape):
    stored = numbers(shape, dtype)
    vectors = int(np.prod(shape[1:-1]))
    boxes = np.tile(np.array(BOX, dtype), (3, vectors, 1))
    boxes[2] = 0  # As where an image has fewer regions.
    found = ImageFeatures(written(tmp_path, form, features=stored, boxes=boxes), width=4)
    found.check()
    found.require(IDS)
    assert (found.ids, found.width, found.vectors, len(found)) == (tuple(IDS), 4, vectors, 3)
    for place, id in enumerate(IDS):
        assert found.features(id).dtype == np.float32
        np.testing.assert_array_equal(found.features(id), stored[place].reshape(vectors, 4))
        np.testing.assert_array_equal(found.boxes(id), boxes[place])


def test_arrays_in_the_order_of_fortran_and_ids_that_are_integers_are_read(tmp_path):
    stored = np.asfortranarray(numbers())
    found = ImageFeatures(written(tmp_path, "npz", ids=[7, 8, 9], features=stored))
    np.testing.assert_array_equal(found.features("8"), stored[1])
    assert "8" in found
    assert "10" not in found
    assert found.boxes("8") is None
    assert not found.has_boxes


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_id_another_width_and_an_id_twice_are_named(tmp_path, form):
    path = written(tmp_path, form, features=numbers())
    for act in (lambda f: f.features("cow"), lambda f: f.boxes("cow"), lambda f: f.require(["cat", "cow"])):
        assert 'no image "cow"' in refusal(path, act)
    assert "vectors of 4 numbers, expected 5" in refusal(path, width=5)
    twice = written(tmp_path, form, ids=["cat", "dog", "cat"], features=numbers())
    assert 'the image "cat" twice' in refusal(twice)
    assert "2 ids and features of 3" in refusal(written(tmp_path, form, ids=IDS[:2], features=numbers()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dtype", "bad", "word", "remedy"),
    [
        ("float32", np.nan, "NaN", "anew"),
        ("float16", 70_000.0, "infinite", "float32"),
        ("float32", np.inf, "infinite", "anew"),
    ],
)
def test_a_number_that_cannot_be_is_named_with_its_image(tmp_path, form, dtype, bad, word, remedy):
    stored = numbers(dtype="float32")
    stored[1, 1, 2] = bad
    with np.errstate(over="ignore"):
        path = written(tmp_path, form, features=stored.astype(dtype))
    for act in (lambda f: f.check(), lambda f: f.features("dog")):
        text = refusal(path, act)
        assert word in text
        assert '"dog"' in text
        assert remedy in text
    np.testing.assert_array_equal(ImageFeatures(path).features("cat"), stored[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "box", [[0, 0, 1.5, 1], [-0.1, 0, 1, 1], [0.6, 0, 0.5, 1], [0, 0.9, 1, 0.2], [0, 0, np.nan, 1]]
)
def test_a_box_outside_its_image_is_named(tmp_path, form, box):
    boxes = np.tile(np.array(BOX, "float32"), (3, 2, 1))
    boxes[2, 1] = box
    path = written(tmp_path, form, features=numbers(), boxes=boxes)
    for act in (lambda f: f.check(), lambda f: f.boxes("été")):
        assert '"été"' in refusal(path, act)
    np.testing.assert_array_equal(ImageFeatures(path).boxes("dog"), boxes[1])


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_is_refused(tmp_path, form):
    path = written(tmp_path, form, features=numbers(), boxes=np.tile(np.float32(BOX), (3, 2, 1)))
    whole = path.read_bytes()
    for size in {0, 1, 7, 40, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:size])
        assert "damaged" in refusal(path)


@pytest.mark.parametrize("form", ["npz", "safetensors"])
@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"boxes": numbers()}, "has no features"),
        ({"features": numbers((3,))}, "features of shape"),
        ({"features": numbers((3, 0))}, "features of shape"),
        ({"features": numbers(), "boxes": numbers((3, 2, 5))}, "boxes of shape"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path, form, arrays, word):
    assert word in refusal(written(tmp_path, form, **arrays))


def test_what_is_no_file_of_features_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.npz")
    other = tmp_path / "pictures.txt"
    other.write_text("x")
    assert "neither" in refusal(other)
    path = tmp_path / "pictures.npz"
    np.savez(path, ids=np.array([{}], dtype=object), features=numbers((1, 4)))
    assert "damaged" in refusal(path)  # A pickle, which is not opened.
    save_file({"features": numbers()}, tmp_path / "bare.safetensors")
    assert "has no ids" in refusal(tmp_path / "bare.safetensors")
    save_file({"features": numbers()}, tmp_path / "bad.safetensors", metadata={"ids": "[1, 2, 3]"})
    assert "JSON list" in refusal(tmp_path / "bad.safetensors")


def test_an_array_cut_inside_a_whole_archive_is_refused(tmp_path):
    path = written(tmp_path, "npz", features=numbers(), boxes=np.tile(np.float32(BOX), (3, 2, 1)))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["features.npy"] = members["features.npy"][:-8]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "features is not the numbers" in refusal(path)


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_opening_reads_no_numbers(tmp_path, form):
    path = written(tmp_path, form, features=numbers((3, 4)))
    assert isinstance(ImageFeatures(path)._features, np.memmap)
