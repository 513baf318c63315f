// The runs of the page, and what is filtered, sorted and selected: one state for table and figures.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { columns, pictures } = data;
const columnOf = new Map(columns.map((column) => [column.name, column]));
const numRuns = data.counts.length;

const element = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

const valueOf = (column, run) =>
  column.kind === "text" ? (column.codes[run] < 0 ? null : column.levels[column.codes[run]]) : column.values[run];
const numberOf = (column, run) => {
  const value = column?.kind === "number" ? column.values[run] : null;
  return typeof value === "number" ? value : NaN;
};

const integers = new Intl.NumberFormat("en");  // toLocaleString makes one for each number
const format = (column, value) => {
  if (value === null) return "–";
  if (typeof value === "string") return value;
  if (column.name.endsWith("_accuracy") || column.name === "objective") return value.toFixed(4);
  if (Number.isInteger(value)) return column.name === "seed" ? String(value) : integers.format(value);
  if (column.name.endsWith("_seconds")) return value.toFixed(1);
  return String(Number(value.toPrecision(6)));
};
const textOf = (column, run) => (column ? format(column, valueOf(column, run)) : "–");
const nameOf = (run) => textOf(columnOf.get("run"), run);
const runOf = new Map(Array.from({ length: numRuns }, (_, run) => [nameOf(run), run]));

const objective = columnOf.get(pictures.objective.column) ?? columns[0];
const state = {
  filter: "",
  passes: new Uint8Array(numRuns).fill(1),
  shown: Array.from({ length: numRuns }, (_, run) => run),  // in the order of the table
  order: { column: objective, descending: pictures.objective.sign > 0 },
  selected: new Set(),
  problem: null,  // why the filter's text cannot be read
};
const listeners = [];
const onChange = (listener) => listeners.push(listener);
const changed = (what) => { for (const listener of listeners) listener(what); };

// With a sign or a list it is a condition, as of --where; else words to look for.
const isCondition = (text) => /[<>=]|\bin\s*\(/i.test(text);
const searchTexts = new Array(numRuns);
const searchText = (run) =>
  (searchTexts[run] ??= columns.map((column) => textOf(column, run)).join("\n").toLowerCase());
const holdsFor = (text) => {
  if (isCondition(text)) return readCondition(text, columnOf, valueOf);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (run) => words.every((word) => searchText(run).includes(word));
};

// The place of each run in a column's order, as numbers: texts are compared once, not at each step of a sort.
const ranks = new Map();
const collator = new Intl.Collator("en", { numeric: true });
const ranksOf = (column) => {
  if (ranks.has(column)) return ranks.get(column);
  let found;
  if (column.kind === "number") found = Float64Array.from(column.values, (value) => (typeof value === "number" ? value : NaN));
  else {
    const places = new Float64Array(column.levels.length);
    [...column.levels.keys()].sort((a, b) => collator.compare(column.levels[a], column.levels[b])).forEach((level, place) => { places[level] = place; });
    found = Float64Array.from(column.codes, (code) => (code < 0 ? NaN : places[code]));
  }
  ranks.set(column, found);
  return found;
};
let sorted = null;  // all runs in order: a filter only leaves some out
const showRuns = () => {
  if (!sorted) {
    const rank = ranksOf(state.order.column), sign = state.order.descending ? -1 : 1;
    const all = Array.from({ length: numRuns }, (_, run) => run);
    const known = all.filter((run) => !Number.isNaN(rank[run])).sort((a, b) => sign * (rank[a] - rank[b]) || a - b);
    sorted = [...known, ...all.filter((run) => Number.isNaN(rank[run]))];
  }
  state.shown = sorted.filter((run) => state.passes[run]);
};

const setFilter = (text) => {
  let holds;
  state.filter = text;
  try { holds = holdsFor(text); } catch (error) {
    state.problem = error.message;
    return changed("problem");
  }
  state.problem = null;
  for (let run = 0; run < numRuns; run++) state.passes[run] = holds(run) ? 1 : 0;
  showRuns();
  changed("filter");
};
const setOrder = (column, descending) => {
  state.order = { column, descending };
  sorted = null;
  showRuns();
  changed("order");
};
const select = (runs, { add = false, toggle = false } = {}) => {
  const before = add || toggle ? state.selected : [];
  const selected = new Set(before);
  for (const run of runs) if (toggle && selected.has(run)) selected.delete(run); else selected.add(run);
  state.selected = selected;
  changed("selection");
};

// ---- the conditions of a filter that all must hold, each as text ----
const piecesOf = (text) => {
  if (!text.trim()) return [];
  if (!isCondition(text)) return [text.trim()];
  const pieces = [""];
  let depth = 0;
  for (const [part] of text.matchAll(/"[^"]*"|'[^']*'|\[[^\]]*\]|[^\s()"'[\]]+|[()]|\s+/g)) {
    if (part === "(") depth++;
    if (part === ")") depth--;
    if (depth === 0 && part.toLowerCase() === "or") return [text.trim()];
    if (depth === 0 && part.toLowerCase() === "and") pieces.push("");
    else pieces[pieces.length - 1] += part;
  }
  return pieces.map((piece) => piece.trim()).filter(Boolean);
};
const COMPARISON = /^([^\s()[\],<>=!"']+)\s*(<=|>=|!=|==|=|<|>|in\b)\s*(.*)$/is;
const partsOf = (piece) => {
  const found = COMPARISON.exec(piece);
  return found && columnOf.has(found[1]) ? { name: found[1], sign: found[2].toLowerCase(), value: found[3] } : null;
};
const listOf = (text) => {  // the values in (a, 'b c', [1,2])
  const inner = /^\((.*)\)$/s.exec(text.trim());
  const values = inner ? inner[1].match(/"[^"]*"|'[^']*'|\[[^\]]*\]|[^\s,]+/g) ?? [] : [text.trim()];
  return values.map((value) => (/^(["']).*\1$/s.test(value) ? value.slice(1, -1) : value));
};
const isPlainWord = (text) => /^[^\s()[\],<>=!"']+$/.test(text) && !/^(and|or|not|in|null|none|nan)$/i.test(text);
const quoted = (text) => {  // null: the language has no way to write it
  if (text === null) return "null";
  if (isPlainWord(text) || /^\[[^\]]*\]$/.test(text)) return text;
  return text.includes('"') ? (text.includes("'") ? null : `'${text}'`) : `"${text}"`;
};
const conditionIn = (name, levels) => {
  const values = levels.map(quoted).filter((value) => value !== null);
  return values.length === 1 ? `${name}=${values[0]}` : `${name} in (${values.join(", ")})`;
};
// Replace what a filter says of a column, and keep the rest.
const constrain = (name, conditions) => {
  const pieces = isCondition(state.filter) ? piecesOf(state.filter) : [];
  const kept = pieces.filter((piece) => partsOf(piece)?.name !== name);
  setFilter([...kept.map(wrapped), ...conditions].join(" and "));
};
const wrapped = (piece) => (piecesOf(piece).length === 1 && /\bor\b/i.test(piece) && !partsOf(piece) ? `(${piece})` : piece);
