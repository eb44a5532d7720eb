"""HTML out of small functions: whatever is not `Html` is escaped, so text from data can never become markup."""

import html
from collections.abc import Iterable

VOID = {"img", "input", "meta", "link", "br"}


class Html(str):
    """Text that is markup already."""


Content = str | None | Iterable["str | None"]


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Html:
    """An element. `class_` is class, underscores become hyphens; None and False are left out, True has no value."""
    inner = "".join(_text(item) for item in content)
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(opening if name in VOID else f"{opening}{inner}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """The parts one after the other; None is nothing."""
    return Html("".join(_text(part) for part in parts))


def table(head: list[str], rows: list[list[str]], numbers: Iterable[int] = (), **attributes: str | None) -> Html:
    """A table; the first cell of each row is its heading, columns in `numbers` are set flush right."""
    right = set(numbers)

    def cell(name: str, index: int, text: str, **more: str) -> Html:
        return tag(name, text, class_="number" if index in right else None, **more)

    heading = tag("tr", *(cell("th", index, text, scope="col") for index, text in enumerate(head)))
    body = [
        tag(
            "tr",
            *(
                cell("td" if index else "th", index, text, **({} if index else {"scope": "row"}))
                for index, text in enumerate(row)
            ),
        )
        for row in rows
    ]
    return tag("table", tag("thead", heading), tag("tbody", body), **attributes)


def _text(item: Content) -> str:
    if item is None:
        return ""
    if isinstance(item, Html):
        return item
    return html.escape(item, quote=False) if isinstance(item, str) else "".join(_text(part) for part in item)


def _attribute(key: str, value: str | int | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
