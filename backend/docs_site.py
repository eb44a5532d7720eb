"""The documentation's site: docs/, README.md, CONTRIBUTING.md and CHANGELOG.md as pages that link to each other.

python backend/docs_site.py    # into build/site, by zensical; warnings are errors, and so is a link that leads nowhere
"""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parent.parent
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
OF_ROOT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
"""Files beside docs/ that the site has too, under their names in lower case."""
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def pages() -> list[Path]:
    """All pages, as paths below docs/ or, of the others, as their names on the site."""
    below = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
    return [*below, *(Path(name.lower()) for name in OF_ROOT if name.endswith(".md"))]


def assemble(target: Path) -> None:
    """Copy everything to `target`, links from and to the files of the root changed accordingly."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target)
    for name in OF_ROOT:
        text = (ROOT / name).read_text(encoding="utf-8")
        (target / name.lower()).write_text(_relinked(text, "docs/", "") if name.endswith(".md") else text, "utf-8")
    for path in target.rglob("*.md"):
        up = "../" * len(path.relative_to(target).parts)
        path.write_text(_relinked(path.read_text(encoding="utf-8"), up, up[3:]), encoding="utf-8")


def _relinked(text: str, before: str, after: str) -> str:
    """Links into docs/, or out of it, as they are where all pages lie in one folder."""

    def changed(match: re.Match) -> str:
        target, root = match[2], before.startswith("..")
        file, hash_, anchor = target.partition("#")
        if file.removeprefix(before) in OF_ROOT and (file.startswith(before) or not root):
            target = after + file.removeprefix(before).lower() + hash_ + anchor
        elif not root and file.startswith(before):
            target = file.removeprefix(before) + hash_ + anchor
        return match[1] + target + match[3]

    return _LINK.sub(changed, text)


class _Page(HTMLParser):
    """The anchors of a page, and where it leads."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in found:
            self.loaded.add(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.add(found.get("href", ""))


def wrong_links(site: Path) -> list[str]:
    """Links and files of the built pages that lead nowhere, anchors too, and whatever is fetched from elsewhere."""
    found = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    wrong = []
    for path, page in sorted(found.items()):
        name = path.relative_to(site).as_posix()
        wrong += [f"{name} loads {target}" for target in page.loaded if re.match(r"(https?:)?//", target)]
        for target in page.links | page.loaded:
            if re.match(r"[a-z]+:|//", target) or target in ("", "#"):
                continue
            file, _, anchor = unquote(target).partition("#")
            linked = (path.parent / file.partition("?")[0]).resolve() if file else path
            linked = linked / "index.html" if linked.is_dir() else linked
            if not linked.is_file() or (anchor and linked in found and anchor not in found[linked].anchors):
                wrong.append(f"{name} leads to {target}")
    return sorted(wrong)


def build(root: Path = ROOT) -> list[str]:
    """Build what is assembled, in the folder that has zensical.toml; returns what is wrong."""
    shutil.rmtree(SITE, ignore_errors=True)
    program = Path(sys.executable).parent / "zensical"
    done = subprocess.run([program, "build", "--clean", "--strict"], cwd=root)
    return ["zensical warned of something"] if done.returncode else wrong_links(SITE)


def main() -> None:
    """Build the site; leaves with 1 for a warning or a link that leads nowhere."""
    assemble(SOURCE)
    if wrong := build():
        raise SystemExit("\n".join(wrong))
    print(f"{SITE.relative_to(ROOT)}: {len(pages())} pages")


if __name__ == "__main__":
    main()
