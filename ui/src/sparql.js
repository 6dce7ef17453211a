// What an editor needs to know of a query's text: its tokens, where the cursor stands, and what things are instances of.

const TOKEN =
  /(?<comment>#[^\n]*)|(?<string>"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|(?<iri><[^<>"{}|^`\\\s]*>)|(?<variable>[?$]\w*)|(?<name>[A-Za-z][\w.-]*:[\w.-]*|:[\w.-]+)|(?<word>@?\w+)|(?<sign>[^\s])/g;

/** The tokens of a query, each with its kind, text and place. */
export function tokens(text) {
  return [...text.matchAll(TOKEN)].map((found) => {
    const [kind] = Object.entries(found.groups).find(([, value]) => value !== undefined);
    // A full stop that ends a name or number ends the triple.
    const value = kind === "name" ? found[0].replace(/\.+$/, "") : found[0];
    return { kind, text: value, from: found.index, to: found.index + value.length };
  });
}

/** The prefixes that a query declares. */
export function declared(found) {
  const names = found.filter((token, at) => token.kind === "name" && /^prefix$/i.test(found[at - 1]?.text ?? ""));
  return new Set(names.map((token) => token.text.split(":")[0]));
}

/** The prefixes of `known` that a query uses and does not declare. */
export function undeclared(text, known) {
  const found = tokens(text);
  const there = declared(found);
  const used = found.filter((token) => token.kind === "name").map((token) => token.text.split(":")[0]);
  return [...new Set(used)].filter((prefix) => prefix in known && !there.has(prefix));
}

/** Where declarations of prefixes are added: after those that there are, else before the first word of the query. */
export function prologueEnd(text) {
  const found = tokens(text).filter((token) => token.kind !== "comment");
  let end = found[0]?.from ?? text.length;
  for (let at = 0; at < found.length; at += 1) {
    const step = /^prefix$/i.test(found[at].text) ? 2 : /^base$/i.test(found[at].text) ? 1 : 0;
    if (!step) break;
    at += step;
    if (found[at]) end = found[at].to + (text[found[at].to] === "\n" ? 1 : 0);
  }
  return end;
}

/** Read the triples of a query up to `end`: those that are whole, and what of the next one stands there. */
export function read(text, end = text.length) {
  const triples = [];
  let [subject, predicate, object] = [null, null, null];
  let depth = 0; // of brackets that hold an expression and no triples
  for (const token of tokens(text)) {
    if (token.to > end || (token.to === end && token.kind !== "sign" && token.kind !== "string")) break;
    if (token.kind === "comment") continue;
    const isPath = subject && !predicate;
    if (depth || (token.text === "(" && !isPath)) depth += { "(": 1, ")": -1 }[token.text] ?? 0;
    else if ("{}.[]".includes(token.text)) [subject, predicate, object] = [null, null, null];
    else if (token.text === ";") [predicate, object] = [null, null];
    else if (token.text === ",") object = null;
    else if ("/|^".includes(token.text) && !object) predicate = null; // a path goes on
    else if (token.kind === "sign") continue;
    else if (token.kind === "word" && token.text !== "a" && !/^(\d|true$|false$|@)/.test(token.text)) [subject, predicate, object] = [null, null, null];
    else if (!subject) subject = token.text;
    else if (!predicate) predicate = token.text;
    else if (!object) triples.push({ subject, predicate, object: (object = token.text) });
  }
  return { triples, subject, predicate, object };
}

/** The classes of what stands at `thing` in a query: those that it names, and those that its links lead to. */
export function classesOf(text, thing, data) {
  const classes = new Set();
  for (const { subject, predicate, object } of read(text).triples) {
    if (subject === thing && ["a", "rdf:type"].includes(predicate)) classes.add(short(object, data));
    const range = object === thing && data.terms[short(predicate, data)]?.range;
    if (range) classes.add(range);
  }
  return [...classes].filter((name) => name in data.classes);
}

/** An IRI as a prefixed name, where a prefix of ours gives one. */
export function short(term, data) {
  if (!term.startsWith("<")) return term;
  const iri = term.slice(1, -1);
  const [prefix, space] = Object.entries(data.prefixes).find(([, each]) => iri.startsWith(each)) ?? [];
  return prefix ? `${prefix}:${iri.slice(space.length)}` : term;
}
