// The objective against parameters, and against the trial: points that are runs.
const clampTo = ([low, high], value) => Math.min(high, Math.max(low, value));
const [LOW, HIGH] = pictures.objective.limits ?? [0, 1];
const EDGE = 0.012 * (HIGH - LOW);
const inside = [LOW + EDGE, HIGH - EDGE];

/* Two layers, left out by the filter and passing; what is selected lies over them. `runs` with their x; outside the limits a triangle stands at the edge. */
const runPoints = (plot, host, runs, xs, size) => {
  const ys = runs.map((run) => clampTo(inside, numberOf(objective, run)));
  const markers = runs.map((run, i) => {
    const value = numberOf(objective, run);
    if (value < inside[0]) return "inverted_triangle";
    if (value > inside[1]) return "triangle";
    return textOf(columnOf.get("status"), run) === "completed" ? "circle" : "diamond";
  });
  const layer = (options) => {
    const source = new Bokeh.ColumnDataSource({ data: { x: [], y: [], marker: [], color: [] } });
    const renderer = plot.scatter({ field: "x" }, { field: "y" }, { source, marker: { field: "marker" }, fill_color: { field: "color" }, line_color: null, size, ...options });
    return { source, renderer };
  };
  const rest = layer({ fill_alpha: 0.35, size: Math.max(3, size - 2) });
  const passing = layer({ fill_alpha: 0.75 });
  const fill = ({ source }, holds, colorOf) => {
    const found = { x: [], y: [], marker: [], color: [] };
    for (let i = 0; i < runs.length; i++) {
      if (!holds(runs[i])) continue;
      found.x.push(xs[i]);
      found.y.push(ys[i]);
      found.marker.push(markers[i]);
      found.color.push(colorOf(runs[i]));
    }
    source.data = found;
  };
  const status = columnOf.get("status");
  let showSelected = () => {};
  const refresh = (what) => {
    if (what !== "selection") atOnce(plot, () => {
      const { faint } = colors();
      fill(rest, (run) => !state.passes[run], () => faint);
      fill(passing, (run) => state.passes[run], (run) => statusColor(valueOf(status, run)));
    });
    if (what !== "filter") showSelected();
  };
  refresh("filter");
  const point = (view) => {
    const places = () => {
      const { x_scale, y_scale } = view.frame;
      return [x_scale.v_compute(xs), y_scale.v_compute(ys)];
    };
    let cached = null, width = 0;
    const current = () => {
      const box = view.frame.bbox.width;
      if (!cached || box !== width) { cached = places(); width = box; }
      return cached;
    };
    const walked = () => {
      const [px, py] = current();
      const order = runs.map((_, i) => i).filter((i) => state.passes[runs[i]]).sort((a, b) => px[a] - px[b] || py[a] - py[b]);
      return order.map((i) => ({ run: runs[i], x: px[i], y: py[i] }));
    };
    showSelected = overlay(host, (pen) => {
      cached = null;
      const [px, py] = current();
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
    pointAt(host, { find: (x, y) => nearest(...current(), runs)(x, y), walk: walked, pick: pickRun });
    return (run) => {  // where a run stands in the window
      const i = runs.indexOf(run), [px, py] = current(), box = host.getBoundingClientRect();
      return i < 0 ? null : [box.left + px[i], box.top + py[i]];
    };
  };
  return { refresh, point, ys };
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
  const points = runPoints(plot, host, runs, xs, runs.length < 300 ? 8 : runs.length < 3000 ? 6 : 4);
  const budget = new Bokeh.Span({ location: pictures.budget, dimension: "height", line_dash: "dashed", line_width: 1.4 });
  const words = new Bokeh.Label({ x: pictures.budget, y: LOW, x_offset: -6, y_offset: 6, text: `budget ${shortNumber(pictures.budget)}`, text_align: "right", text_font_size: "11px", text_font: "system-ui, sans-serif" });
  plot.add_layout(budget);
  plot.add_layout(words);
  const front = pictures.front;
  const steps = front.flatMap(([x, y], i) => (i ? [[x, front[i - 1][1]], [x, y]] : [[x, y]]));
  if (front.length) steps.push([high * margin, front.at(-1)[1]]);
  const line = plot.line(steps.map(([x]) => x), steps.map(([, y]) => clampTo(inside, y)), { line_width: 1.4 });
  const paint = () => {
    budget.line_color = words.text_color = colors().value;
    line.glyph.line_color = colors().text;
  };
  paint();
  boxSelect(plot, ({ x0, x1, y0, y1 }) => {
    const chosen = runs.filter((run, i) => state.passes[run] && xs[i] >= x0 && xs[i] <= x1 && points.ys[i] >= y0 && points.ys[i] <= y1);
    select(chosen, { add: scatterAdds });
  });
  let scatterAdds = false;
  host.addEventListener("pointerdown", (event) => { scatterAdds = event.shiftKey; }, true);
  const view = await showPlot(plot, host);
  return {
    refresh: (what) => { if (what === "theme") paint(); points.refresh(what); },
    placeOf: points.point(view),
  };
});
