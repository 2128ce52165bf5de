"""docs/migration/azure.md: its example is run as it is printed, against a service of the embedded model."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from service.http.azure import refusals
from tests.e2e.server import ROOT, serving
from tests.e2e.test_documented_commands import write_history

GUIDE = (ROOT / "docs" / "migration" / "azure.md").read_text()


def test_example_of_the_guide_runs_with_nothing_but_the_port_changed(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "plant").mkdir(parents=True)
    write_history(tmp_path / "blobs" / "plant" / "pump7.csv", rows=700, fault=slice(550, 650), seed=1)
    models = Path(shutil.copytree(ROOT / "models", tmp_path / "models"))
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    printed = io.StringIO()
    root = {"OFFNORMAL_DATA_ROOT": str(tmp_path / "blobs")}
    with serving(models, tmp_path / "state", **root) as server, contextlib.redirect_stdout(printed):
        exec(example.replace("http://127.0.0.1:8000", server.url), {})
    *listed, result = printed.getvalue().splitlines()
    assert any(re.fullmatch(r"[0-9a-f-]{36} pump-loop READY", line) for line in listed)
    status, count = result.split()
    assert status == "READY"
    assert 80 <= int(count) <= 200


def test_codes_that_the_guide_names_are_given() -> None:
    given = {code for code, _ in refusals.CODES.values()} | {"InsufficientHistoricalData", "NoData"}
    named = set(re.findall(r"`((?:No|Merge|Insufficient)[A-Z]\w+)`", GUIDE)) | {"NotOffered"}
    assert named - {"NoPath"} <= given


@pytest.mark.parametrize("page", ["azure", "lookout"])
def test_links_of_the_guides_lead_somewhere(page: str) -> None:
    path = ROOT / "docs" / "migration" / f"{page}.md"
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
