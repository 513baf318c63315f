// What all figures share: colours of both themes, axes, lazy drawing, pointing at a run.
Bokeh.set_log_level("warn");
const darkness = matchMedia("(prefers-color-scheme: dark)");
const LIGHT = {
  text: "#1c1f23", soft: "#5b6167", line: "#d9dde1", faint: "#b9c0c7", accent: "#0072b2", value: "#d55e00", back: "#ffffff",
  ramp: ["#c9d6e2", "#a9c4da", "#86b0d0", "#5f9ac5", "#3a86bb", "#0072b2", "#005a8e", "#003f66"],
  cycle: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"],
  status: pictures.statusColors,
};
const DARK = {
  text: "#e6e8ea", soft: "#a3abb3", line: "#33393f", faint: "#4d565f", accent: "#6bb8ec", value: "#ff9d5c", back: "#15181b",
  ramp: ["#2f3c48", "#35506a", "#3b6588", "#437ba6", "#4f92c3", "#62aadd", "#86c5f2", "#c2e4ff"],
  cycle: ["#6bb8ec", "#ff9d5c", "#35c99a", "#e3a1c6", "#f3bb45", "#9bd3f5", "#e6e8ea"],
  status: { ...pictures.statusColors, completed: "#6bb8ec", pruned: "#f3bb45", rejected: "#9aa3ab", failed: "#ff9d5c", diverged: "#e3a1c6", out_of_memory: "#e6e8ea", interrupted: "#9bd3f5", running: "#35c99a" },
};
let isDark = darkness.matches;  // asked once: a figure wants it for each of its points
const colors = () => (isDark ? DARK : LIGHT);
const statusColor = (status) => colors().status[status] ?? colors().faint;

const shortNumber = (value) => {
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(4))}${letter}`;
  return Math.abs(value) < 1e-3 && value !== 0 ? Number(value.toPrecision(3)).toExponential().replace("e+", "e") : String(Number(value.toPrecision(6)));
};
const linearTicks = (low, high, count) => {
  const span = high - low || Math.abs(high) || 1, raw = span / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
};
const logTicks = (low, high, count) => {
  const between = (digits) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.log10(high); power++)
      for (const digit of digits) {
        const tick = Number((digit * 10 ** power).toPrecision(6));
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push(tick);
      }
    return ticks;
  };
  const choices = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8], [1, 1.5, 2, 3, 4, 6], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]].map(between);
  const few = choices.find((ticks) => ticks.length <= count && ticks.length > 1);
  if (few) return few;
  const decades = choices.at(-1);
  return decades.length > 1 ? decades.filter((_, i) => i % Math.ceil(decades.length / count) === 0) : linearTicks(low, high, count);
};
const setTicks = (axis, ticks, label = shortNumber) => {
  axis.ticker = new Bokeh.FixedTicker({ ticks, minor_ticks: [] });
  axis.major_label_overrides = new Map(ticks.map((tick) => [tick, label(tick)]));
  for (const plot of plots) {
    const dimension = plot.below.includes(axis) ? 0 : plot.left[0] === axis ? 1 : -1;
    for (const each of plot.center) if (each instanceof Bokeh.Grid && each.dimension === dimension) each.ticker = axis.ticker;
  }
};

const plots = [];  // for a change of theme
const styleAxis = (axis) => {
  const { soft, line } = colors();
  axis.setv({
    axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null, major_label_text_color: soft,
    axis_label_text_color: soft, major_label_text_font_size: "11px", axis_label_text_font_size: "11.5px",
    axis_label_text_font_style: "normal", major_label_text_font: "system-ui, sans-serif", axis_label_text_font: "system-ui, sans-serif",
    major_tick_in: 0, major_tick_out: 4, axis_label_standoff: 6,
  });
};
const stylePlot = (plot) => {
  for (const axis of [...plot.left, ...plot.below]) if (axis instanceof Bokeh.Axis) styleAxis(axis);
  for (const each of plot.center) if (each instanceof Bokeh.Grid) each.setv({ grid_line_color: colors().line, grid_line_alpha: 0.6 });
};
const makePlot = (options) => {
  const plot = Bokeh.Plotting.figure({
    sizing_mode: "stretch_both", toolbar_location: null, tools: [], background_fill_color: null, border_fill_color: null,
    outline_line_color: null, min_border: 4, output_backend: "canvas", min_width: 120, min_height: 80, ...options,
  });
  plot.toolbar.logo = null;
  stylePlot(plot);
  plots.push(plot);
  return plot;
};
const showPlot = async (plot, host) => {
  const { accent } = colors();
  host.style.setProperty("--accent-now", accent);
  return Bokeh.Plotting.show(plot, host);
};
const ranges = (low, high) => new Bokeh.Range1d({ start: low, end: high });

// Runs are drawn on canvases of their own, over Bokeh's axes or under them: Bokeh takes several times as long to paint them.
const layer = (host, draw, { under = false } = {}) => {
  const canvas = element("canvas", undefined, { class: under ? "layer under" : "layer", "aria-hidden": "true" });
  host.append(canvas);
  let width = 0, height = 0;
  const redraw = () => {
    const scale = devicePixelRatio;
    ({ clientWidth: width, clientHeight: height } = host);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    if (!canvas.width || !canvas.height) return;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    draw(pen, scale);
  };
  redraw();
  new ResizeObserver(() => {
    if (host.clientWidth !== width || host.clientHeight !== height) setTimeout(redraw, 120);  // once Bokeh has laid the axes out
  }).observe(host);
  return redraw;
};
const clipTo = (pen, { bbox }) => {
  pen.beginPath();
  pen.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  pen.clip();
};

// A figure is made when it comes near the window, and brought up to date only while it is there.
const figures = {};
const pause = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)));
let lastMaking = Promise.resolve();
const figure = (name, hostId, make) => {
  const host = byId(hostId);
  const made = { host, isNear: false, due: new Set(), parts: null, making: null };
  figures[name] = made;
  made.refresh = (what) => {
    if (!made.parts || !made.isNear) return made.due.add(what);
    made.parts.refresh?.(what);
  };
  const bring = async () => {
    if (!made.making) {  // one after the other, so that the first can be used while the next is made
      made.making = lastMaking.then(() => make(host)).then((parts) => { made.parts = parts ?? {}; });
      lastMaking = made.making.catch(() => {}).then(pause);
    }
    await made.making;
    const due = [...made.due];
    made.due.clear();
    for (const what of due) made.parts.refresh?.(what);
  };
  new IntersectionObserver(([entry]) => {
    made.isNear = entry.isIntersecting;
    if (made.isNear) bring();
  }, { rootMargin: "300px" }).observe(host);
};
onChange((what) => {
  if (what === "filter" || what === "selection") for (const each of Object.values(figures)) each.refresh(what);
});
darkness.addEventListener("change", () => {
  isDark = darkness.matches;
  plots.forEach(stylePlot);
  for (const each of Object.values(figures)) each.refresh("theme");
});

// ---- pointing: the nearest thing within reach is named, a click or Enter picks it ----
const tip = byId("tip");
const showTip = (lines, x, y) => {
  tip.replaceChildren(...lines.map((line, i) => element(i ? "span" : "strong", line)));
  tip.classList.add("on");
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
};
const hideTip = () => tip.classList.remove("on");
const describeRun = (run) => [
  nameOf(run),
  `${objective.name} ${textOf(objective, run)}, ${textOf(columnOf.get("num_params"), run)} parameters, ${textOf(columnOf.get("status"), run)}`,
];
/* `find(x, y)` in pixels of the host returns { run, x, y, lines } or null; `walk` lists such for the keyboard, in order. */
const pointAt = (host, { find, walk = () => [], pick }) => {
  const ring = element("div", undefined, { class: "ring" });
  host.append(ring);
  let place = -1, down = null;
  const show = (found, byKey) => {
    ring.classList.toggle("on", Boolean(found));
    if (!found) return hideTip();
    const box = host.getBoundingClientRect();
    ring.style.left = `${found.x}px`;
    ring.style.top = `${found.y}px`;
    showTip(found.lines ?? describeRun(found.run), box.left + found.x, box.top + found.y);
  };
  const at = (event) => {
    const box = host.getBoundingClientRect();
    return find(event.clientX - box.left, event.clientY - box.top);
  };
  host.addEventListener("pointermove", (event) => { if (!event.buttons) show(at(event)); else show(null); });
  host.addEventListener("pointerleave", () => show(null));
  host.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
  host.addEventListener("click", (event) => {
    if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 4) return;
    const found = at(event);
    if (found) pick(found, event);
  });
  if (!pick) return;
  host.tabIndex = 0;
  host.addEventListener("blur", () => show(null));
  host.addEventListener("keydown", (event) => {
    const things = walk();
    if (event.target !== host || !things.length) return;
    const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: things.length - 1 };
    if (event.key in moves) {
      place = (moves[event.key] + things.length) % things.length;
      show(things[place], true);
    } else if (event.key === "Enter" && things[place]) pick(things[place], event);
    else if (event.key === " " && things[place]) select([things[place].run], { toggle: true });
    else return;
    event.preventDefault();
  });
};
const pickRun = ({ run }, event) => {
  if (event.shiftKey || event.ctrlKey || event.metaKey) return select([run], { toggle: true });
  select([run]);
  showInTable(run);
  openRun(run);
};
const nearest = (xs, ys, runs, reach = 14) => (x, y) => {
  let best = reach * reach, found = -1;
  for (let i = 0; i < runs.length; i++) {
    const distance = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
    if (distance < best) { best = distance; found = i; }
  }
  return found < 0 ? null : { run: runs[found], x: xs[found], y: ys[found] };
};
