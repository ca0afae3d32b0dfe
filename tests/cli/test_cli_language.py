import json

from typer.testing import CliRunner

from adaptrans_cli.main import app


def test_a_language_adapter_is_trained_once(tmp_path, tiny_backbone):
    (tmp_path / "sw.txt").write_text("watu wote wamezaliwa huru\n" * 200, encoding="utf-8")
    where = ["--text", str(tmp_path), "--backbone", str(tiny_backbone), "--store", str(tmp_path / "store")]
    options = ["--max-steps", "2", "--batch-size", "2", "--max-length", "32", "--device", "cpu"]
    method = ["--method", "seq_bn_inv[reduction_factor=4]"]
    arguments = ["language", "swa", *where, *options, *method, "--json"]
    first, second = (json.loads(CliRunner().invoke(app, arguments).stdout) for _ in range(2))
    assert (first["computed"], second["computed"]) == (1, 0)
    assert first["folder"] == second["folder"]
    assert "/language/sw.seq_bn_inv" in first["folder"]
    assert first["steps"] == 2
