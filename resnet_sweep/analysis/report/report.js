// Start, and go on where the page was: what was chosen stays through a reload, and a new report is taken up.
const BUSY_MS = 4000;  // after a key or a pointer nobody is disturbed
const MOST_WAIT = 20;  // times the interval, once nothing new comes
const version = document.querySelector(".subtitle").textContent;
let keeping = 0;
const keep = () => { clearTimeout(keeping); keeping = setTimeout(keepNow, 150); };
const keepNow = () => {
  const before = history.state ?? {};
  history.replaceState({
    ...before, filter: box.value, column: state.order.column.name, descending: state.order.descending,
    selected: [...state.selected].map(nameOf), opened: opened === null ? null : nameOf(opened), hidden: [...table.hidden],
    active: state.shown.length ? nameOf(state.shown[table.active] ?? state.shown[0]) : null, scroll: scrollY, tableScroll: [grid.scrollLeft, grid.scrollTop],
    detailScroll: detail.scrollTop, following: byId("following").checked, focus: document.activeElement?.id || null,
    details: [...document.querySelectorAll("main details")].map((each) => each.open),
  }, "");
};
const restore = () => {
  const kept = history.state?.column ? history.state : null;
  table.hidden = new Set(kept?.hidden ?? []);
  const column = columnOf.get(kept?.column) ?? objective;
  state.order = { column, descending: kept ? kept.descending : state.order.descending };
  if (!kept && column !== objective) state.order.descending = true;
  makeHead();
  makeColumnMenu();
  setFilter(kept?.filter ?? "");
  box.value = kept?.filter ?? "";
  if (!kept) return;
  select(kept.selected.filter((name) => runOf.has(name)).map((name) => runOf.get(name)));
  const active = state.shown.indexOf(runOf.get(kept.active));
  table.active = Math.max(0, active);
  [...document.querySelectorAll("main details")].forEach((each, i) => { each.open = Boolean(kept.details?.[i]); });
  byId("following").checked = kept.following;
  if (kept.opened !== null && runOf.has(kept.opened)) openRun(runOf.get(kept.opened), { focus: false });
  [grid.scrollLeft, grid.scrollTop] = kept.tableScroll;
  renderTable();
  byId(kept.focus ?? "")?.focus({ preventScroll: true });
  scrollTo(0, kept.scroll);
  detail.scrollTop = kept.detailScroll;
};

// A page from a file cannot ask whether the file has changed: it loads itself again, less often while nothing is new.
const follow = () => {
  if (!data.watch) return;
  byId("follow").hidden = false;
  const before = history.state ?? {};
  const misses = before.version === version ? (before.misses ?? 0) + 1 : 0;
  history.replaceState({ ...before, version, misses }, "");
  let lastTouch = 0;
  for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "input"]) addEventListener(kind, () => { lastTouch = performance.now(); }, { capture: true, passive: true });
  let due = performance.now() + 1000 * data.watch * Math.min(MOST_WAIT, 1.1 * 2 ** Math.max(0, misses - 1));
  const look = () => {
    const now = performance.now();
    if (now < due || now - lastTouch < BUSY_MS || document.hidden || !byId("following").checked) return;
    due = Infinity;
    keepNow();
    location.reload();
  };
  setInterval(look, 250);
  byId("following").addEventListener("change", keep);
};

history.scrollRestoration = "manual";
restore();
follow();
addEventListener("scroll", keep, { passive: true });
grid.addEventListener("scroll", keep, { passive: true });
detail.addEventListener("scroll", keep, { passive: true });
addEventListener("toggle", keep, true);
for (const button of document.querySelectorAll("button.run[data-run]"))
  button.addEventListener("click", () => {
    const run = runOf.get(button.textContent);
    select([run]);
    showInTable(run);
    openRun(run);
  });
