/* Clouds and boxes in 3D. All views of a page share one WebGL context: it draws into a canvas of its own, and each view
   copies what is its. A view has one or more panels side by side, which turn together. Nothing moves by itself. */
const spatial = (() => {
  "use strict";
  const FIELD = 0.7; /* radians from the top of a panel to its bottom */
  const START = { around: -0.85, up: 0.72, zoom: 1, aside: 0, above: 0 };

  const cloudShader = [
    `attribute vec3 place; attribute vec4 ink; uniform mat4 camera; uniform vec3 lower, extent; uniform float size, cut, least;
     varying vec3 paint;
     void main() {
       vec3 here = lower + extent * place;
       gl_Position = camera * vec4(here, 1.0);
       gl_PointSize = clamp(size / gl_Position.w, least, 60.0);
       if (ink.a < 0.5 || here.z > cut) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
       paint = ink.rgb;
     }`,
    `precision mediump float; varying vec3 paint;
     void main() {
       vec2 place = 2.0 * gl_PointCoord - 1.0;
       float out_ = dot(place, place);
       if (out_ > 1.0) discard;
       gl_FragColor = vec4(paint * (1.0 - 0.22 * out_), 1.0);
     }`,
  ];
  const edgeShader = [
    `attribute vec3 here, there, corner, ink; attribute float dash; uniform mat4 camera; uniform vec2 screen; uniform float width;
     varying vec3 paint; varying float along, gap;
     void main() {
       vec4 a = camera * vec4(here, 1.0), b = camera * vec4(there, 1.0);
       if (a.w < 0.05) a = mix(a, b, (0.05 - a.w) / max(b.w - a.w, 0.0001));
       if (b.w < 0.05) b = mix(b, a, (0.05 - b.w) / max(a.w - b.w, 0.0001));
       vec4 p = corner.y > 0.5 ? b : a;
       vec2 across = (b.xy / b.w - a.xy / a.w) * screen;
       vec2 side = normalize(vec2(-across.y, across.x) + vec2(0.00001, 0.0));
       p.xy += side * corner.x * width / screen * p.w;
       gl_Position = p; paint = ink; along = corner.y * corner.z; gap = dash;
     }`,
    `precision mediump float; varying vec3 paint; varying float along, gap;
     void main() {
       if (gap > 0.0 && mod(along, gap) > 0.58 * gap) discard;
       gl_FragColor = vec4(paint, 1.0);
     }`,
  ];

  /* ---- the one context ---- */
  let shared = null;
  function renderer() {
    if (shared !== null) return shared;
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl", { alpha: true, antialias: true, premultipliedAlpha: true });
    shared = gl ? { canvas, gl, age: 0 } : false;
    if (!shared) return shared;
    const build = () => {
      shared.cloud = program(gl, cloudShader, ["place", "ink"]);
      shared.edges = program(gl, edgeShader, ["here", "there", "corner", "ink", "dash"]);
      shared.age += 1;
      gl.enable(gl.DEPTH_TEST);
      gl.enable(gl.SCISSOR_TEST);
    };
    build();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { build(); views.forEach((view) => view.draw()); });
    return shared;
  }
  function program(gl, sources, names) {
    const made = gl.createProgram();
    [gl.VERTEX_SHADER, gl.FRAGMENT_SHADER].forEach((kind, at) => {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, sources[at]);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    });
    names.forEach((name, at) => gl.bindAttribLocation(made, at, name));
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(made));
    return made;
  }
  const views = [];

  /* ---- boxes: each edge a strip of constant width on the screen ---- */
  const EDGES = [[0, 1], [1, 3], [3, 2], [2, 0], [4, 5], [5, 7], [7, 6], [6, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
  function corners(box) {
    const [cos, sin] = [Math.cos(box[6]), Math.sin(box[6])];
    return [...Array(8).keys()].map((index) => {
      const [along, across, up] = [0, 1, 2].map((at) => (((index >> at) & 1) - 0.5) * box[at + 3]);
      return [box[0] + cos * along - sin * across, box[1] + sin * along + cos * across, box[2] + up];
    });
  }
  function strips(boxes) {
    const rows = [];
    for (const { box, ink, dash } of boxes) {
      const ends = corners(box);
      for (const [from, to] of EDGES) {
        const [a, b] = [ends[from], ends[to]];
        const length = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
        for (const [side, end] of [[-1, 0], [1, 0], [1, 1], [-1, 0], [1, 1], [-1, 1]]) rows.push(...a, ...b, side, end, length, ...ink, dash);
      }
    }
    return new Float32Array(rows);
  }

  class View {
    /* element holds a canvas, and .labels over it; a panel is {cloud, ink (RGBA bytes), boxes: [{box, ink, dash, name, shade}], title};
       start says where from it is seen at first. */
    constructor(element, start = {}) {
      this.start = { ...START, ...start };
      this.element = element;
      this.canvas = element.querySelector("canvas");
      this.labels = element.querySelector(".labels");
      this.camera = { ...this.start };
      this.panels = [];
      this.cut = Infinity;
      this.size = 1;
      this.names = true;
      this.buffers = [];
      this.age = 0;
      this.queued = false;
      this.onpick = null;
      views.push(this);
      this.listen();
      new ResizeObserver(() => this.later()).observe(element);
    }

    get works() { return Boolean(renderer()); }

    show(panels) {
      this.panels = panels;
      this.age = 0; /* what is on the card is old */
      this.draw();
    }

    later() {
      if (this.queued) return;
      this.queued = true;
      requestAnimationFrame(() => { this.queued = false; this.draw(); });
    }

    upload({ gl, age }) {
      if (this.age === age) return;
      for (const { place, ink, edges } of this.buffers) [place, ink, edges].forEach((buffer) => gl.deleteBuffer(buffer));
      const filled = (content) => { const made = gl.createBuffer(); gl.bindBuffer(gl.ARRAY_BUFFER, made); gl.bufferData(gl.ARRAY_BUFFER, content, gl.STATIC_DRAW); return made; };
      this.buffers = this.panels.map((panel) => ({
        place: filled(panel.cloud.raw), ink: filled(panel.ink), edges: filled(strips(panel.boxes ?? [])),
        count: panel.cloud.raw.length / 3, corners: (panel.boxes ?? []).length * EDGES.length * 6,
      }));
      this.age = age;
    }

    /* Where panels lie: in as many columns as leave each the most room. */
    layout(width, height) {
      const count = this.panels.length;
      const room = (columns) => Math.min(width / columns, height / Math.ceil(count / columns));
      const columns = [...Array(count).keys()].map((at) => at + 1).reduce((best, one) => (room(one) >= room(best) ? one : best));
      const [w, h] = [width / columns, height / Math.ceil(count / columns)];
      return this.panels.map((_, at) => ({ x: (at % columns) * w, y: Math.floor(at / columns) * h, w, h }));
    }

    /* Rows of the matrix that takes metres to the screen, and the point size that goes with it. */
    matrix(panel, { w, h }) {
      const { around, up, zoom, aside, above } = this.camera;
      const { middle, radius } = panel.cloud;
      const [ca, sa, cu, su] = [Math.cos(around), Math.sin(around), Math.cos(up), Math.sin(up)];
      const [right, upward, back] = [[-sa, ca, 0], [-su * ca, -su * sa, cu], [cu * ca, cu * sa, su]];
      const focus = 1 / Math.tan(FIELD / 2);
      const aspect = w / h;
      const distance = (radius * 0.94) / Math.sin(FIELD / 2) / Math.min(1, aspect) / zoom;
      const roof = Math.min(this.cut, 1);
      const centre = middle.map((value, at) => value + radius * (right[at] * aside + upward[at] * above) - (at === 2 ? (0.5 - roof / 2) * panel.cloud.extent[2] : 0));
      const [near, far] = [Math.max(distance - 3 * radius, 0.02 * radius), distance + 3 * radius];
      const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
      const row = (axis, factor) => [...axis.map((value) => value * factor), -dot(axis, centre) * factor];
      const depth = [...back.map((value) => -value), distance + dot(back, centre)];
      const [a, b] = [(far + near) / (far - near), (-2 * far * near) / (far - near)];
      const rows = [row(right, focus / aspect), row(upward, focus), depth.map((value, at) => a * value + (at === 3 ? b : 0)), depth];
      return { rows, flat: new Float32Array([0, 1, 2, 3].flatMap((column) => rows.map((line) => line[column]))), perMetre: (focus * h) / 2 };
    }

    draw() {
      const card = renderer();
      if (!card || !this.panels.length) return;
      const { canvas, gl } = card;
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      const [width, height] = [this.element.clientWidth, this.element.clientHeight];
      if (!width || !height || gl.isContextLost()) return;
      const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (this.canvas.width !== wide || this.canvas.height !== high) { this.canvas.width = wide; this.canvas.height = high; }
      if (canvas.width < wide || canvas.height < high) { canvas.width = Math.max(canvas.width, wide); canvas.height = Math.max(canvas.height, high); }
      this.upload(card);
      gl.scissor(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      this.places = this.layout(wide, high);
      this.places.forEach((place, at) => this.drawPanel(card, this.panels[at], this.buffers[at], place, high, ratio));
      const paper = this.canvas.getContext("2d");
      paper.clearRect(0, 0, wide, high);
      paper.drawImage(canvas, 0, canvas.height - high, wide, high, 0, 0, wide, high);
      this.write(ratio);
    }

    drawPanel({ gl, cloud, edges }, panel, buffers, place, high, ratio) {
      const { flat, perMetre } = this.matrix(panel, place);
      gl.viewport(place.x, high - place.y - place.h, place.w, place.h);
      gl.scissor(place.x, high - place.y - place.h, place.w, place.h);
      const set = (used, name) => gl.getUniformLocation(used, name);
      const enable = (count) => { for (let at = 0; at < 5; at += 1) if (at < count) gl.enableVertexAttribArray(at); else gl.disableVertexAttribArray(at); };
      gl.useProgram(cloud);
      enable(2);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.place);
      gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 0, 0);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.ink);
      gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
      gl.uniformMatrix4fv(set(cloud, "camera"), false, flat);
      gl.uniform3fv(set(cloud, "lower"), panel.cloud.lower);
      gl.uniform3fv(set(cloud, "extent"), panel.cloud.extent);
      gl.uniform1f(set(cloud, "size"), panel.cloud.gap * perMetre * this.size);
      gl.uniform1f(set(cloud, "least"), 1.5 * ratio);
      gl.uniform1f(set(cloud, "cut"), Math.min(panel.cloud.lower[2] + panel.cloud.extent[2] * this.cut + 1e-4, 1e30));
      gl.drawArrays(gl.POINTS, 0, buffers.count);
      if (!buffers.corners) return;
      gl.useProgram(edges);
      enable(5);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.edges);
      [3, 3, 3, 3, 1].reduce((offset, length, at) => { gl.vertexAttribPointer(at, length, gl.FLOAT, false, 52, offset); return offset + 4 * length; }, 0);
      gl.uniformMatrix4fv(set(edges, "camera"), false, flat);
      gl.uniform2f(set(edges, "screen"), place.w, place.h);
      gl.uniform1f(set(edges, "width"), 2.6 * ratio);
      gl.drawArrays(gl.TRIANGLES, 0, buffers.corners);
    }

    /* Names of boxes and titles of panels, as text over the picture; tables say the same to screen readers. */
    write(ratio) {
      const made = [];
      this.panels.forEach((panel, at) => {
        const place = this.places[at];
        const { rows } = this.matrix(panel, place);
        const put = (text, style, x, y, shade) => {
          const span = document.createElement("span");
          span.textContent = text; span.className = style; if (shade) span.style.color = shade;
          span.style.left = `${x}px`; span.style.top = `${y}px`;
          made.push(span);
        };
        if (panel.title) put(panel.title, "panel-title", place.x / ratio + 12, place.y / ratio + 8);
        if (!this.names) return;
        for (const { box, name, shade } of panel.boxes ?? []) {
          if (!name) continue;
          const top = [box[0], box[1], box[2] + box[5] / 2, 1];
          const [x, y, , w] = rows.map((row) => row.reduce((sum, value, axis) => sum + value * top[axis], 0));
          if (w <= 0 || Math.abs(x) > w || Math.abs(y) > w) continue;
          put(name, "box-name", (place.x + ((x / w + 1) / 2) * place.w) / ratio, (place.y + ((1 - y / w) / 2) * place.h) / ratio, shade);
        }
      });
      this.labels.replaceChildren(...made);
    }

    /* The visible point nearest to a place of the page: {panel, point}, or null. */
    pick(x, y) {
      if (!this.places) return null;
      const ratio = this.canvas.width / this.element.clientWidth;
      const [px, py] = [x * ratio, y * ratio];
      const at = this.places.findIndex((place) => px >= place.x && px < place.x + place.w && py >= place.y && py < place.y + place.h);
      if (at < 0) return null;
      const [panel, place] = [this.panels[at], this.places[at]];
      const { rows } = this.matrix(panel, place);
      const { raw, lower, extent } = panel.cloud;
      const roof = lower[2] + extent[2] * this.cut + 1e-4;
      let [best, depth] = [-1, Infinity];
      for (let index = 0; index < raw.length / 3; index += 1) {
        if (panel.ink[4 * index + 3] < 128) continue;
        const here = [0, 1, 2].map((axis) => lower[axis] + (extent[axis] * raw[3 * index + axis]) / 65535);
        if (here[2] > roof) continue;
        const [sx, sy, , w] = rows.map((row) => row[0] * here[0] + row[1] * here[1] + row[2] * here[2] + row[3]);
        if (w <= 0 || w >= depth) continue;
        const [dx, dy] = [place.x + ((sx / w + 1) / 2) * place.w - px, place.y + ((1 - sy / w) / 2) * place.h - py];
        if (dx * dx + dy * dy < 49 * ratio * ratio) [best, depth] = [index, w];
      }
      return best < 0 ? null : { panel: at, point: best };
    }

    /* ---- hands ---- */
    turn(around, up) { this.camera.around += around; this.camera.up = Math.min(1.5707, Math.max(-1.5707, this.camera.up + up)); this.later(); }
    scale(factor) { this.camera.zoom = Math.min(20, Math.max(0.3, this.camera.zoom * factor)); this.later(); }
    shift(aside, above) { this.camera.aside += aside / this.camera.zoom; this.camera.above += above / this.camera.zoom; this.later(); }
    act(name) {
      const acts = {
        in: () => this.scale(1.2), out: () => this.scale(1 / 1.2), left: () => this.turn(-0.2, 0), right: () => this.turn(0.2, 0),
        above: () => { Object.assign(this.camera, this.start, { around: -Math.PI / 2, up: 1.5707 }); this.later(); },
        reset: () => { Object.assign(this.camera, this.start); this.later(); },
        full: () => { if (document.fullscreenElement) document.exitFullscreen(); else this.element.requestFullscreen?.(); },
      };
      acts[name]?.();
    }

    listen() {
      const { element } = this;
      const held = new Map();
      let [active, moved, down] = [false, 0, null];
      element.addEventListener("pointerdown", (event) => {
        if (event.target.closest("button")) return;
        active = true; moved = 0; down = [event.clientX, event.clientY];
        held.set(event.pointerId, [event.clientX, event.clientY]);
        element.setPointerCapture(event.pointerId);
      });
      element.addEventListener("pointermove", (event) => {
        const last = held.get(event.pointerId);
        if (!last) return;
        const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
        const unit = 2.2 / element.clientHeight;
        moved += Math.abs(dx) + Math.abs(dy);
        if (held.size === 2) {
          const other = [...held].find(([id]) => id !== event.pointerId)[1];
          const span = (from) => Math.hypot(from[0] - other[0], from[1] - other[1]);
          this.scale(span([event.clientX, event.clientY]) / Math.max(span(last), 1));
          this.shift((-dx * unit) / 4, (dy * unit) / 4);
        } else if (event.shiftKey || event.ctrlKey || event.buttons & 6) this.shift((-dx * unit) / 2, (dy * unit) / 2);
        else this.turn(-dx * 0.008, dy * 0.008);
        held.set(event.pointerId, [event.clientX, event.clientY]);
      });
      const lift = (event) => {
        if (held.delete(event.pointerId) && event.type === "pointerup" && moved < 4 && down && this.onpick) {
          const bounds = element.getBoundingClientRect();
          this.onpick(this.pick(down[0] - bounds.left, down[1] - bounds.top));
        }
      };
      element.addEventListener("pointerup", lift);
      element.addEventListener("pointercancel", lift);
      element.addEventListener("pointerleave", () => { active = false; });
      element.addEventListener("contextmenu", (event) => event.preventDefault());
      element.addEventListener("dblclick", () => this.act("reset"));
      /* The wheel scrolls the page until the picture has been clicked. */
      element.addEventListener("wheel", (event) => { if (active || event.ctrlKey) { event.preventDefault(); this.scale(Math.exp(-event.deltaY * 0.0015)); } }, { passive: false });
      element.addEventListener("keydown", (event) => {
        const { key, shiftKey } = event;
        const step = 0.08;
        const keys = {
          ArrowLeft: () => (shiftKey ? this.shift(-step, 0) : this.turn(0.12, 0)), ArrowRight: () => (shiftKey ? this.shift(step, 0) : this.turn(-0.12, 0)),
          ArrowUp: () => (shiftKey ? this.shift(0, step) : this.turn(0, 0.1)), ArrowDown: () => (shiftKey ? this.shift(0, -step) : this.turn(0, -0.1)),
          "+": () => this.scale(1.15), "=": () => this.scale(1.15), "-": () => this.scale(1 / 1.15), 0: () => this.act("reset"), Home: () => this.act("reset"),
        };
        if (!keys[key] || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        keys[key]();
      });
    }
  }

  /* A packed cloud with what drawing needs of it; unpacked once. */
  const unpacked = new WeakMap();
  function cloudOf(packed) {
    if (!unpacked.has(packed)) {
      const raw = new Uint16Array(bytesOf(packed.values).buffer);
      const extent = packed.step.map((step) => step * 65535);
      const radius = Math.max(0.5 * Math.hypot(...extent), 1e-6);
      unpacked.set(packed, {
        raw, lower: packed.lower, extent, radius, middle: packed.lower.map((low, axis) => low + extent[axis] / 2),
        gap: (1.6 * radius) / Math.sqrt(Math.max(raw.length / 3, 150)),
        height: (index) => packed.lower[2] + packed.step[2] * raw[3 * index + 2],
      });
    }
    return unpacked.get(packed);
  }
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  return { View, cloudOf, bytesOf, views, contexts: () => (shared ? 1 : 0) };
})();
