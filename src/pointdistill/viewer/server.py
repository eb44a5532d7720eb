"""The viewer's server: what the browser on this machine is shown, and what is done when it is asked for something."""

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pointdistill.errors import MissingPackage, PointdistillError
from pointdistill.viewer.pictures import Boxes, Gallery, Picture
from pointdistill.viewer.sources import edges

HOST = "127.0.0.1"
CHOSEN = 300
"""Up to so many pictures are chosen by name, more by number."""
_SCORE = 0.3
"""Predicted boxes of at least this score are shown at first."""


@contextmanager
def serving(gallery: Gallery, first: int = 0, port: int = 8080) -> Iterator[str]:
    """Serve a gallery on loopback meanwhile; gives the page's address.

    Args:
        gallery: what is shown.
        first: the number of the picture that is shown first.
        port: the first one tried; 0 takes any.

    Raises:
        MissingPackage: viser is not installed.
        PointdistillError: the first picture cannot be read.
    """
    picture = gallery.picture(first)
    try:
        import rich
        import viser  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingPackage("view", "viser", "view") from error
    console = rich.get_console()  # viser's; ours is another
    quiet, console.quiet = console.quiet, True
    server = viser.ViserServer(host=HOST, port=port, label=gallery.title, verbose=False)
    try:
        Page(server, gallery, first, picture)
        yield f"http://{HOST}:{server.get_port()}"
    finally:
        server.stop()
        console.quiet = quiet


class Page:
    """The controls and the scene, in step with each other. Names out of data are sent as text, never as markup."""

    def __init__(self, server: Any, gallery: Gallery, first: int, picture: Picture):
        self._server, self._gallery, self._lock = server, gallery, threading.RLock()
        self._shown: list[Any] = []
        self._painted: list[Any] = []
        self._boxed: list[Any] = []
        self._way = ""
        self._hidden: set[str] = set()
        self._score, self._named, self._size = _SCORE, True, 1.0
        server.scene.set_up_direction("+z")
        server.gui.configure_theme(show_logo=False, show_share_button=False)  # sharing would go through a server abroad
        self._add_choice(first)
        button = server.gui.add_button("Look at all of it")
        button.on_click(lambda _: self._aim())
        server.initial_camera.position, server.initial_camera.look_at = _view_of(picture)
        self._picture = picture
        self._show(picture)

    def _add_choice(self, first: int) -> None:
        names, gui = self._gallery.names, self._server.gui
        if len(names) == 1:
            return
        if len(names) <= CHOSEN and len(set(names)) == len(names):
            control: Any = gui.add_dropdown(self._gallery.what, list(names), initial_value=names[first])
            control.on_update(lambda _: self._turn_to(names.index(control.value)))
        else:
            control = gui.add_slider(self._gallery.what, 0, len(names) - 1, 1, first)
            control.on_update(lambda _: self._turn_to(int(control.value)))

    def _turn_to(self, number: int) -> None:
        with self._lock, self._server.atomic():
            try:
                self._picture = self._gallery.picture(number)
            except PointdistillError as error:
                self._clear()
                self._shown.append(self._server.gui.add_text("error", str(error), multiline=True, disabled=True))
                return
            self._show(self._picture)

    def _clear(self) -> None:
        for handles in (self._shown, self._painted, self._boxed):
            for handle in handles:
                handle.remove()
            handles.clear()

    def _show(self, picture: Picture) -> None:
        with self._lock, self._server.atomic():
            self._clear()
            gui = self._server.gui
            self._shown.append(gui.add_text("shown", picture.title, disabled=True))
            if self._way not in picture.colours:
                self._way = next(iter(picture.colours))
            ways = gui.add_dropdown("colour", list(picture.colours), initial_value=self._way)
            ways.on_update(lambda _: self._set("_way", ways.value))
            size = gui.add_slider("point size", 0.25, 4.0, 0.25, self._size)
            size.on_update(lambda _: self._set("_size", float(size.value)))
            self._shown += [ways, size]
            for kind in picture.boxes:
                self._shown.append(self._switch(kind))
            if any(kind.scores is not None for kind in picture.boxes):
                score = gui.add_slider("least score", 0.0, 1.0, 0.01, self._score)
                score.on_update(lambda _: self._set("_score", float(score.value)))
                self._shown.append(score)
            if picture.boxes:
                named = gui.add_checkbox("names of boxes", self._named)
                named.on_update(lambda _: self._set("_named", bool(named.value)))
                self._shown.append(named)
            for who, sentence in picture.said:
                self._shown.append(gui.add_text(who, sentence, multiline=True, disabled=True))
            if picture.image is not None:
                self._shown.append(gui.add_image(picture.image, label="camera"))
            self._paint()
            self._box()

    def _switch(self, kind: Boxes) -> Any:
        label = f"{kind.kind} ({len(kind.boxes)})"
        switch = self._server.gui.add_checkbox(label, kind.kind not in self._hidden)

        def update(_: Any) -> None:
            with self._lock, self._server.atomic():
                (self._hidden.discard if switch.value else self._hidden.add)(kind.kind)
                self._box()

        switch.on_update(update)
        return switch

    def _set(self, name: str, value: Any) -> None:
        with self._lock, self._server.atomic():
            setattr(self, name, value)
            if name in ("_way", "_size"):
                self._paint()
            else:
                self._box()

    def _paint(self) -> None:
        for handle in self._painted:
            handle.remove()
        picture = self._picture
        points = self._server.scene.add_point_cloud(
            "/points",
            picture.points,
            picture.colours[self._way],
            point_size=self._size * _extent(picture) / 400,
            point_shape="circle",
            point_shading="flat",
            precision="float32",
        )
        self._painted[:] = [points]
        legend = [(kind.kind, kind.colour) for kind in picture.boxes] + list(picture.legends.get(self._way, ()))
        if legend:
            lines = [
                f'<div><span style="color:rgb{colour}">&#9632;</span> {html.escape(name)}</div>'
                for name, colour in legend
            ]
            self._painted.append(self._server.gui.add_html("".join(lines)))

    def _box(self) -> None:
        for handle in self._boxed:
            handle.remove()
        self._boxed.clear()
        scene = self._server.scene
        for place, kind in enumerate(self._picture.boxes):
            if kind.kind in self._hidden:
                continue
            chosen = np.arange(len(kind.boxes))
            if kind.scores is not None:
                chosen = chosen[np.asarray(kind.scores) >= self._score]
            if not len(chosen):
                continue
            lines, thickness = edges(kind.boxes[chosen]), 2.0
            self._boxed.append(
                scene.add_line_segments(
                    f"/boxes/{place}", lines, kind.colour, thickness=thickness, thickness_units="screen"
                )
            )
            for row in chosen.tolist() if self._named else ():
                text = kind.names[row] if kind.scores is None else f"{kind.names[row]} {kind.scores[row]:.2f}"
                top = kind.boxes[row, :3] + np.array([0, 0, kind.boxes[row, 5] / 2])
                # Predicted boxes lie over true ones: their names stand above the same place, the others below.
                anchor = "top-center" if kind.scores is None else "bottom-center"
                self._boxed.append(scene.add_label(f"/names/{place}/{row}", text, position=top, anchor=anchor))

    def _aim(self) -> None:
        position, middle = _view_of(self._picture)
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = position, middle


def _extent(picture: Picture) -> float:
    """The diagonal of the box around the points."""
    return max(float(np.linalg.norm(np.ptp(picture.points, axis=0))), 1e-6)


def _view_of(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Where to stand and where to look, to see all of it from above and aside."""
    middle = (picture.points.min(0) + picture.points.max(0)).astype(np.float64) / 2
    return middle + np.array([-0.45, -0.75, 0.55]) * _extent(picture), middle
