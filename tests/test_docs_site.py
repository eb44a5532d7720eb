"""The documentation's site: every page in its navigation, every link followed, and built without a warning."""

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "backend"))
import docs_site  # noqa: E402

sys.path.pop(0)


def leaves(navigation: object) -> list[str]:
    if isinstance(navigation, str):
        return [navigation]
    values = navigation.values() if isinstance(navigation, dict) else navigation
    return [page for value in values for page in leaves(value)]


def test_no_page_is_missing_from_the_navigation():
    listed = leaves(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"])
    there = {page.as_posix() for page in docs_site.pages()}
    assert len(listed) == len(set(listed))
    assert there - set(listed) == set(), "add it to `nav` in zensical.toml"
    assert set(listed) - there == set(), "no such page: take it out of `nav` in zensical.toml"


def test_links_between_docs_and_the_root(tmp_path):
    docs_site.assemble(tmp_path)
    assert "](faq.md)" in (tmp_path / "index.md").read_text() and "](readme.md)" in (tmp_path / "index.md").read_text()
    assert "](contributing.md#adding-things)" in (tmp_path / "own-method.md").read_text()
    readme = (tmp_path / "readme.md").read_text()
    assert "](paper.md)" in readme and "](docs/" not in readme and (tmp_path / "images/pipeline.png").is_file()
    assert "](../paper.md#" in (tmp_path / "results/quickstart.md").read_text()


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#here">1</a><a href="#top">2</a><a href="b.html#gone">3</a>'
        '<a href="c.html">4</a><a href="https://example.org">5</a><img src="https://example.org/x.png">'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p><script src="a.js"></script>')
    assert docs_site.wrong_links(tmp_path) == [
        "a.html leads to b.html#gone",
        "a.html leads to c.html",
        "a.html loads https://example.org/x.png",
        "b.html leads to a.js",
    ]


def test_the_site_is_built_without_a_warning(tmp_path, monkeypatch):
    pytest.importorskip("zensical")
    (tmp_path / "zensical.toml").write_text((ROOT / "zensical.toml").read_text())
    for name, path in {"SOURCE": "build/site-source", "SITE": "build/site"}.items():
        monkeypatch.setattr(docs_site, name, tmp_path / path)
    source = docs_site.SOURCE
    docs_site.assemble(source)
    assert docs_site.build(tmp_path) == []
    page = (docs_site.SITE / "own-method.html").read_text()
    assert "CosineConfig" in page and 'id="what-is-asked-of-it"' in page
    (source / "faq.md").write_text("# Questions\n\n[nowhere](nothing.md)\n")
    assert docs_site.build(tmp_path) == ["zensical warned of something"]
