// One run: its numbers, curves, confusion matrix, settings and commands.
const detail = byId("detail");
let openedFrom = null;
let opened = null;

const list = (pairs, name = "values") => {
  const made = element("dl", undefined, { class: name });
  for (const [key, text] of pairs) {
    const row = element("div");
    row.append(element("dt", key), element("dd", text));
    made.append(row);
  }
  return made;
};

// ---- commands: the overrides that compose to a run's configuration, quoted for Hydra, then for the shell ----
const shellWord = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`);
const hydraValue = (value) => {
  if (value === null || value === undefined) return "null";
  if (typeof value !== "string") return String(value);
  if (/^\[.*\]$/s.test(value)) return value.replaceAll(", ", ",");  // a list, as JSON
  if (/^[\w./@+-]+$/.test(value) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(value)) return value;
  if (/^(true|false|null)$/i.test(value) || /^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(value)) return value;
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
};
const settingsOf = (run) => {
  const found = { ...data.commands.exact };
  for (const name of data.settings) {
    const value = valueOf(columnOf.get(name), run);
    if (value === null) delete found[name];
    else found[name] = value;
  }
  return found;
};
const overridesOf = (run) => {
  const { groups, defaults } = data.commands, settings = settingsOf(run), words = [];
  const same = (a, b) => (a ?? null) === (b ?? null) || String(a) === String(b) || (a !== "" && Number(a) === Number(b));
  const expected = {};
  for (const group of groups) {
    const choice = settings[group];
    if (choice === undefined || choice === null) continue;
    const isList = group === "augmentation", options = defaults.options[group] ?? {};
    const option = isList || Object.hasOwn(options, choice) ? choice : defaults.base[group];  // a user's own file has another name
    const chosen = isList ? choice.split("+") : [option];
    if (option !== defaults.base[group]) words.push(isList ? `${group}=[${choice === "none" ? "" : chosen.join(",")}]` : `${group}=${hydraValue(option)}`);
    if (option !== choice) words.push(`${group}.name=${hydraValue(choice)}`);
    for (const name of chosen) Object.assign(expected, options[name] ?? {});
  }
  const inGroup = (name) => groups.includes(name.split(".")[0]) && name.includes(".");
  for (const [name, value] of Object.entries(defaults.base)) if (!inGroup(name) && !groups.includes(name)) expected[name] = value;
  for (const name of new Set([...Object.keys(expected), ...Object.keys(settings)])) {
    if (groups.includes(name) || same(settings[name], expected[name])) continue;
    if (name === "tracker" || name.startsWith("tracker.")) continue;  // decides nothing
    words.push(`${name.startsWith("model.kwargs.") ? "++" : ""}${name}=${hydraValue(settings[name])}`);
  }
  return words;
};
const folderOf = (run) => (data.commands.root === "." ? nameOf(run) : `${data.commands.root.replace(/\/$/, "")}/${nameOf(run)}`);
const commandsOf = (run) => {
  const start = (module, ...words) => ["python", "-m", `resnet_sweep.${module}`, ...words].map(shellWord).join(" ");
  const folder = /^[\w./@+-]+$/.test(folderOf(run)) ? folderOf(run) : hydraValue(folderOf(run));
  const status = textOf(columnOf.get("status"), run);
  return [
    ["Train it again", start("train", ...overridesOf(run))],
    [status === "completed" ? "Resume it (complete: writes again what is lost)" : "Resume it", start("train", `resume=${folder}`)],
    ["Predict with it", start("predict", `run=${folder}`, "input=test")],
  ];
};
const copied = (text) => {
  const area = element("textarea");
  area.value = text;
  detail.append(area);
  area.select();
  document.execCommand("copy");  // the clipboard interface is not there on file://
  area.remove();
};
const commandList = (run) => {
  const made = element("div", undefined, { class: "commands" });
  for (const [title, text] of commandsOf(run)) {
    const row = element("div"), button = element("button", "Copy", { type: "button", "aria-label": `copy: ${title}` });
    button.addEventListener("click", () => { copied(text); button.textContent = "Copied"; button.focus(); });
    row.append(element("h4", title), button, element("pre", text, { tabindex: "0" }));
    made.append(row);
  }
  return made;
};

const confusionTable = (run) => {
  const counts = data.confusions.counts[run];
  if (!counts) return element("p", `No confusion matrix: of the ${data.confusions.limit} best runs with stored predictions only.`, { class: "absent" });
  const classes = data.confusions.classes[data.confusions.classesOf[run]];
  const made = element("table", undefined, { class: "confusion" }), caption = element("caption", "Percent of the true class (row) taken for each class (column), on the validation images");
  const top = element("tr");
  top.append(element("td"), ...classes.map((name) => { const cell = element("th", undefined, { scope: "col", title: name }); cell.append(element("span", name)); return cell; }));
  const rows = counts.map((row, i) => {
    const line = element("tr"), total = row.reduce((a, b) => a + b, 0);
    line.append(element("th", classes[i], { scope: "row", title: classes[i] }));
    row.forEach((count, j) => {
      const share = total ? count / total : 0, cell = element("td", total && share >= 0.005 ? String(Math.round(100 * share)) : "");
      cell.title = `${classes[i]} taken for ${classes[j]}: ${count} of ${total}`;
      cell.style.setProperty("--share", share.toFixed(3));
      cell.className = i === j ? "right" : "wrong";
      line.append(cell);
    });
    return line;
  });
  made.append(caption, top, ...rows);
  const box = element("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": "confusion matrix" });
  box.append(made);
  return box;
};

const panelPlots = { parts: null };
const drawPanelCurves = async (run, hosts) => {
  const curves = await curvesOf(run);
  for (const kind of ["accuracy", "loss"]) {
    const { plot, draw } = curvePlot(kind);
    draw([{ curves, color: colors().accent }]);
    panelPlots[kind] = { plot, draw, curves };
    if (opened === run) await showPlot(plot, hosts[kind]);
  }
};
darkness.addEventListener("change", () => {
  for (const kind of ["accuracy", "loss"]) { const each = panelPlots[kind]; each?.draw([{ curves: each.curves, color: colors().accent }]); }
});
const dropPanelPlots = () => {
  for (const kind of ["accuracy", "loss"]) {
    const plot = panelPlots[kind]?.plot;
    if (!plot) continue;
    plots.splice(plots.indexOf(plot), 1);
    plot.document?.clear();
    delete panelPlots[kind];
  }
};

const openRun = (run, { focus = true } = {}) => {
  if (!detail.open) openedFrom = document.activeElement;
  dropPanelPlots();
  opened = run;
  const settings = new Set(data.settings);
  const pairs = (wanted) =>
    columns.filter((column) => column.name !== "run" && settings.has(column.name) === wanted)
      .map((column) => [column.name, textOf(column, run)]).filter(([, text]) => text !== "–");
  byId("detail-title").textContent = nameOf(run);
  const content = [list(pairs(false))], hosts = {};
  if (data.counts[run]) {
    const pair = element("div", undefined, { class: "pair curves" });
    for (const kind of ["accuracy", "loss"]) pair.append(hosts[kind] = element("div", undefined, { class: "figure small" }));
    content.push(element("h3", "Curves"), pair, element("p", "Solid: validation. Dotted: training.", { class: "read" }));
  } else content.push(element("p", "No epochs were recorded.", { class: "absent" }));
  const more = element("details");
  more.append(element("summary", "Settings that all runs share"), list(Object.entries(data.shared)));
  content.push(element("h3", "Commands"), commandList(run), element("h3", "Settings that differ between runs"), list(pairs(true)), more,
    element("h3", "Confusion"), confusionTable(run));
  byId("detail-body").replaceChildren(...content);
  if (!detail.open) detail.show();
  document.documentElement.classList.add("opened");
  detail.scrollTop = 0;
  if (focus) byId("close").focus({ preventScroll: true });
  if (data.counts[run]) drawPanelCurves(run, hosts);
  keep();
};
const closeRun = () => {
  dropPanelPlots();
  opened = null;
  detail.close();
  document.documentElement.classList.remove("opened");
  (openedFrom?.isConnected && openedFrom !== document.body ? openedFrom : grid).focus({ preventScroll: true });
  keep();
};
byId("close").addEventListener("click", closeRun);
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (detail.open) closeRun();
  else if (state.selected.size) select([]);
  else return;
  event.preventDefault();
});
