"""The page of analyses, in one file that opens without a network."""

from pathlib import Path

from pointdistill.files import write_text
from pointdistill.report.analyses import words
from pointdistill.report.analyses.schema import Analyses, read_analyses
from pointdistill.report.analyses.sections import analyses_parts
from pointdistill.report.examples import Examples, load_examples
from pointdistill.report.html import join, tag
from pointdistill.report.page import document
from pointdistill.report.payload import examples_payload

PAGE = "analyses.html"


def write_analyses_page(folder: Path) -> Path:
    """Write FOLDER/analyses.html from its analyses.json and examples/; raises DataError if these cannot be read."""
    target = folder / PAGE
    write_text(target, analyses_page(read_analyses(folder), load_examples(folder)))
    return target


def analyses_page(analyses: Analyses, examples: Examples) -> str:
    """The whole page as text."""
    content = examples_payload([("prediction", examples)])
    hero = join([tag("h1", analyses.title), tag("p", words.LEAD, class_="lead")])
    return document(analyses.title, analyses.version, "analyses", hero, analyses_parts(analyses, content), content)
