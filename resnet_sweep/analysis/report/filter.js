"use strict";
// The language of --where, as filters.py reads it; throws an Error whose message is for the reader.
const readCondition = (text, columnOf, valueOf) => {
  const TOKEN = /\s*(?:(?<text>"[^"]*"|'[^']*')|(?<list>\[[^\]]*\])|(?<sign><=|>=|!=|==|=|<|>)|(?<bracket>[(),])|(?<word>[^\s()[\],<>=!"']+))/y;
  const NUMBER = /^([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf)$/i;
  const ORDERS = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };
  const KEYWORDS = ["and", "or", "not", "in"];
  const NULLS = ["null", "none", "nan"];
  const tokens = [];
  const source = text.trimEnd();
  while (TOKEN.lastIndex < source.length) {
    const start = TOKEN.lastIndex, found = TOKEN.exec(source);
    if (!found) throw Error(`cannot read ${source.slice(start)}`);
    const [kind, value] = Object.entries(found.groups).find(([, each]) => each !== undefined);
    tokens.push({ kind, text: value });
  }
  let place = 0;
  const accept = (wanted) => {
    const token = tokens[place];
    const found = token && token.kind !== "text" && token.text.toLowerCase() === wanted;
    if (found) place++;
    return Boolean(found);
  };
  const expect = (wanted) => { if (!accept(wanted)) throw Error(`expected ${wanted}`); };
  const next = (wanted) => {
    const token = tokens[place];
    if (!token) throw Error(`expected ${wanted} at the end`);
    if (token.kind === "bracket" || (token.kind === "word" && KEYWORDS.includes(token.text.toLowerCase())))
      throw Error(`expected ${wanted} before ${token.text}`);
    place++;
    return token;
  };
  const numberOf = ({ kind, text: word }) =>
    kind === "word" && NUMBER.test(word) ? Number(word.replace(/inf/i, "Infinity")) : null;
  const isMissing = (value) => value === null || value === "NaN";
  const json = (word) => { try { return JSON.stringify(JSON.parse(word)); } catch { return word; } };
  const equals = (column, token) => {
    const { kind, text: word } = token;
    if (kind === "word" && NULLS.includes(word.toLowerCase())) {
      const isText = column.kind !== "number" && word.toLowerCase() !== "null";  // the name of an option, too
      return (run) => isMissing(valueOf(column, run)) || (isText && valueOf(column, run) === word);
    }
    if (column.kind === "number") {
      const number = numberOf(token);
      if (number === null) throw Error(`${column.name}: ${word} is not a number`);
      const whole = column.values.every((value) => typeof value !== "number" || Number.isInteger(value));
      return (run) => {
        const value = valueOf(column, run);
        return typeof value === "number" && Math.abs(value - number) <= (whole ? 0 : 5e-6 * Math.abs(number));
      };
    }
    if (kind === "list") return (run) => json(valueOf(column, run) ?? "null") === json(word);
    const isTruth = column.levels.every((level) => level === "true" || level === "false");
    const wanted = kind === "text" ? word.slice(1, -1) : isTruth ? word.toLowerCase() : word;
    return (run) => valueOf(column, run) === wanted;
  };
  const comparison = () => {
    const name = next("a column").text, column = columnOf.get(name);
    if (!column) throw Error(`there is no column ${name} here`);
    if (!column.sortable) throw Error(`${name} may not select runs: the test set is only reported`);
    if (accept("in")) {
      expect("(");
      const any = [equals(column, next("a value"))];
      while (accept(",")) any.push(equals(column, next("a value")));
      expect(")");
      return (run) => any.some((holds) => holds(run));
    }
    const sign = next("=, !=, <, <=, >, >= or in");
    if (sign.kind !== "sign") throw Error(`expected =, !=, <, <=, >, >= or in after ${name}`);
    const value = next("a value");
    if (!(sign.text in ORDERS)) {
      const equal = equals(column, value);
      return sign.text === "!=" ? (run) => !equal(run) : equal;
    }
    const limit = numberOf(value);
    if (limit === null) throw Error(`${name}: ${value.text} is not a number`);
    if (column.kind !== "number") throw Error(`${name} is not a number: use =, != or in`);
    return (run) => typeof valueOf(column, run) === "number" && ORDERS[sign.text](valueOf(column, run), limit);
  };
  const one = () => {
    if (accept("not")) { const holds = one(); return (run) => !holds(run); }
    if (!accept("(")) return comparison();
    const holds = any();
    expect(")");
    return holds;
  };
  const all = () => {
    const parts = [one()];
    while (accept("and")) parts.push(one());
    return (run) => parts.every((holds) => holds(run));
  };
  const any = () => {
    const parts = [all()];
    while (accept("or")) parts.push(all());
    return (run) => parts.some((holds) => holds(run));
  };
  const condition = any();
  if (place < tokens.length) throw Error(`expected and, or or the end before ${tokens[place].text}`);
  return condition;
};
