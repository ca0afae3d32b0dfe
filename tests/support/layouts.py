"""Prediction files of one content, written and read back."""

from adaptrans.evaluation.xtreme_format import layout_of, prediction_path, read_file, write_predictions


def write_labels(folder, task, kind, language, golds):
    """Write the labels of one task in one language."""
    return write_predictions(folder, task, kind, language, [golds], gold=True)


def write_one(folder, task, kind, language, content):
    """Write the predictions of one task in one language."""
    return write_predictions(folder, task, kind, language, [content])


def read_predictions(folder, task, kind, language):
    """Read what was written."""
    path = prediction_path(folder, task, kind, language)
    return layout_of(kind).decode(read_file(path, "predict this language first"), path)
