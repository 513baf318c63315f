// The objective against parameters, and against the trial: points that are runs.
const clampTo = ([low, high], value) => Math.min(high, Math.max(low, value));
const [LOW, HIGH] = pictures.objective.limits ?? [0, 1];
const EDGE = 0.012 * (HIGH - LOW);
const inside = [LOW + EDGE, HIGH - EDGE];

// The pixels of a point. Copied to each place they take a quarter of the time that as many paths would.
const stamp = (marker, size, color, alpha, scale) => {
  const side = Math.ceil((size + 2) * scale), r = size / 2;
  const pen = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  pen.translate(side / 2, side / 2);
  pen.scale(scale, scale);
  pen.globalAlpha = alpha;
  pen.fillStyle = color;
  pen.beginPath();
  const corners = { diamond: [[0, -r], [r * 0.7, 0], [0, r], [-r * 0.7, 0]], above: [[0, -r], [r, r], [-r, r]], below: [[0, r], [r, -r], [-r, -r]] }[marker];
  if (corners) for (const [x, y] of corners) pen.lineTo(x, y);
  else pen.arc(0, 0, r, 0, 7);
  pen.fill();
  return pen.getImageData(0, 0, side, side);
};
// Lay pixels over those of a larger picture, about the place (x, y).
const lay = (picture, { data: from, width: side }, x, y) => {
  const { data: to, width, height } = picture;
  const left = Math.max(0, Math.min(width - side, Math.round(x - side / 2))), top = Math.max(0, Math.min(height - side, Math.round(y - side / 2)));
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      const s = 4 * (row * side + column), t = 4 * ((top + row) * width + left + column);
      if (!from[s + 3]) continue;
      const share = from[s + 3] / 255, below = (to[t + 3] / 255) * (1 - share), alpha = share + below;
      for (let channel = 0; channel < 3; channel++) to[t + channel] = (from[s + channel] * share + to[t + channel] * below) / alpha;
      to[t + 3] = 255 * alpha;
    }
};

/* Points at (xs, objective) in a plot that is shown: those left out by the filter, then those that pass, over them what is selected.
   Outside the limits a triangle stands at the edge. */
const runPoints = (view, host, runs, xs, size) => {
  const ys = runs.map((run) => clampTo(inside, numberOf(objective, run)));
  const status = columnOf.get("status"), groups = new Map();  // of one marker and one colour
  runs.forEach((run, i) => {
    const value = numberOf(objective, run), ended = valueOf(status, run);
    const marker = value < inside[0] ? "below" : value > inside[1] ? "above" : ended === "completed" ? "circle" : "diamond";
    const kind = `${marker} ${ended}`;
    if (!groups.has(kind)) groups.set(kind, { marker, ended, members: [] });
    groups.get(kind).members.push(i);
  });
  let cached = null, width = 0, height = 0;
  const places = () => {
    const { frame } = view, { bbox } = frame;
    if (!cached || bbox.width !== width || bbox.height !== height) {
      cached = [frame.x_scale.v_compute(xs), frame.y_scale.v_compute(ys)];
      ({ width, height } = bbox);
    }
    return cached;
  };
  const showAll = layer(host, (pen, scale) => {
    const [px, py] = places(), picture = pen.createImageData(pen.canvas.width, pen.canvas.height);
    const put = ({ marker, members }, passing, pointSize, color, alpha) => {
      const point = stamp(marker, pointSize, color, alpha, scale);
      for (const i of members) if (state.passes[runs[i]] === passing) lay(picture, point, px[i] * scale, py[i] * scale);
    };
    for (const group of groups.values()) put(group, 0, Math.max(3, size - 2), colors().faint, 0.35);
    for (const group of groups.values()) put(group, 1, size, statusColor(group.ended), 0.75);
    pen.putImageData(picture, 0, 0);
  }, { under: true });
  const showSelected = layer(host, (pen) => {
    const [px, py] = places();
    pen.fillStyle = colors().value;
    pen.strokeStyle = colors().text;
    pen.lineWidth = 1.5;
    runs.forEach((run, i) => {
      if (!state.selected.has(run)) return;
      pen.beginPath();
      pen.arc(px[i], py[i], size / 2 + 2, 0, 7);
      pen.fill();
      pen.stroke();
    });
  });
  const walk = () => {
    const [px, py] = places();
    const order = runs.map((_, i) => i).filter((i) => state.passes[runs[i]]).sort((a, b) => px[a] - px[b] || py[a] - py[b]);
    return order.map((i) => ({ run: runs[i], x: px[i], y: py[i] }));
  };
  pointAt(host, { find: (x, y) => nearest(...places(), runs)(x, y), walk, pick: pickRun });
  return {
    ys,
    refresh: (what) => {
      if (what !== "selection") showAll();
      if (what !== "filter") showSelected();
    },
    placeOf: (run) => {  // where a run stands in the window
      const i = runs.indexOf(run), [px, py] = places(), box = host.getBoundingClientRect();
      return i < 0 ? null : [box.left + px[i], box.top + py[i]];
    },
  };
};

const boxSelect = (plot, found) => {
  const tool = new Bokeh.BoxSelectTool({ renderers: [] });
  plot.add_tools(tool);
  plot.toolbar.active_drag = tool;
  plot.on_event("selectiongeometry", (event) => { if (event.final) found(event.geometry); });
};

figure("scatter", "figure-scatter", async (host) => {
  const params = columnOf.get("num_params");
  const runs = pictures.ranked.filter((run) => Number.isFinite(numberOf(objective, run)) && numberOf(params, run) > 0);
  if (!runs.length) return host.append(element("p", "No run has both an objective and a number of parameters.", { class: "absent" }));
  const xs = runs.map((run) => numberOf(params, run));
  const low = Math.min(...[pictures.budget], xs.reduce((a, b) => Math.min(a, b))), high = Math.max(pictures.budget, xs.reduce((a, b) => Math.max(a, b)));
  const margin = (high / low) ** 0.03;
  const plot = makePlot({
    x_axis_type: "log", x_range: ranges(low / margin, high * margin), y_range: ranges(LOW, HIGH),
    x_axis_label: "parameters", y_axis_label: pictures.objective.label,
  });
  setTicks(plot.below[0], logTicks(low, high, 9));
  setTicks(plot.left[0], linearTicks(LOW, HIGH, 6));
  const budget = new Bokeh.Span({ location: pictures.budget, dimension: "height", line_dash: "dashed", line_width: 1.4 });
  const words = new Bokeh.Label({ x: pictures.budget, y: LOW, x_offset: -6, y_offset: 6, text: `budget ${shortNumber(pictures.budget)}`, text_align: "right", text_font_size: "11px", text_font: "system-ui, sans-serif", background_fill_alpha: 0.8 });
  plot.add_layout(budget);
  plot.add_layout(words);
  const front = pictures.front;
  const steps = front.flatMap(([x, y], i) => (i ? [[x, front[i - 1][1]], [x, y]] : [[x, y]]));
  if (front.length) steps.push([high * margin, front.at(-1)[1]]);
  const line = plot.line(steps.map(([x]) => x), steps.map(([, y]) => clampTo(inside, y)), { line_width: 1.4 });
  const paint = () => {
    budget.line_color = words.text_color = colors().value;
    words.background_fill_color = colors().back;
    line.glyph.line_color = colors().text;
  };
  paint();
  let adds = false;
  host.addEventListener("pointerdown", (event) => { adds = event.shiftKey; }, true);
  boxSelect(plot, ({ x0, x1, y0, y1 }) => {
    const chosen = runs.filter((run, i) => state.passes[run] && xs[i] >= x0 && xs[i] <= x1 && points.ys[i] >= y0 && points.ys[i] <= y1);
    select(chosen, { add: adds });
  });
  const points = runPoints(await showPlot(plot, host), host, runs, xs, runs.length < 300 ? 8 : runs.length < 3000 ? 6 : 4);
  return {
    refresh: (what) => { if (what === "theme") paint(); points.refresh(what); },
    placeOf: points.placeOf,
  };
});
