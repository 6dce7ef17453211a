// What may stand at the cursor: properties of the class at hand (required ones first), classes, values, variables, snippets.

import { snippetCompletion } from "@codemirror/autocomplete";
import { classesOf, prologueEnd, read, short, tokens, undeclared } from "./sparql.js";
import { KEYWORDS, SNIPPETS } from "./snippets.js";

const snippets = SNIPPETS.map(([label, info, template]) =>
  snippetCompletion(template, { label, info, type: "snippet", section: { name: "Patterns", rank: 8 } }),
);
const keywords = KEYWORDS.map((label) => ({ label, type: "keyword", section: { name: "Keywords", rank: 9 } }));

/** Return the source of completions over `data`, which the server gives at /sparql/completion. */
export function completions(data) {
  const terms = Object.entries(data.terms);
  const ofKind = (kind) => terms.filter(([, term]) => term.kind === kind);
  const classes = ofKind("class").map(([name]) => option(name, "class", "Classes", 2));
  const properties = ofKind("property").map(([name]) => name);

  function option(name, type, section, rank, detail) {
    return { label: name, type, detail, section: { name: section, rank }, info: () => described(name, data, detail) };
  }

  function atPredicate(text, subject) {
    const offered = new Map([["a", { label: "a", type: "keyword", info: "is of the class", section: { name: "Class", rank: classesOf(text, subject, data).length ? 7 : 0 } }]]);
    classesOf(text, subject, data).forEach((name, at) => {
      const { required, properties: others } = data.classes[name];
      const called = data.terms[name]?.label ?? name;
      for (const each of required) if (!offered.has(each)) offered.set(each, option(each, "property", `Every ${called} has`, 1 + 2 * at, "required"));
      for (const each of others) if (!offered.has(each)) offered.set(each, option(each, "property", `${called} may have`, 2 + 2 * at));
    });
    const rest = offered.size > 1 ? "Other properties" : "Properties";
    for (const each of properties) if (!offered.has(each)) offered.set(each, option(each, "property", rest, 8));
    return [...offered.values()];
  }

  function atObject(predicate) {
    if (["a", "rdf:type"].includes(predicate)) return classes;
    const property = short(predicate, data);
    const lists = Object.values(data.things).filter((list) => list.properties.includes(property));
    return lists.flatMap((list) =>
      list.values.map(([written, label]) => ({ label: written.startsWith("<") ? label : `${written} ${label}`, apply: written, type: "constant", section: { name: "Values", rank: -1 } })),
    );
  }

  return (context) => {
    const text = context.state.doc.toString();
    const word = context.matchBefore(/[?$]?[\w.:-]*/);
    const inside = tokens(text).find((token) => token.from < context.pos && context.pos <= token.to);
    if (inside?.kind === "comment" || (inside?.kind === "string" && context.pos < inside.to)) return null;
    if (!context.explicit && word.from === word.to && !/\sa?\s$/.test(text.slice(0, context.pos))) return null;
    const variables = [...new Set(text.match(/[?$]\w+/g))].filter((name) => name !== word.text);
    const ofVariables = variables.map((label) => ({ label, type: "variable", section: { name: "Variables", rank: 0 } }));
    const { subject, predicate, object } = read(text, word.from);
    let options;
    if (/^[?$]/.test(word.text)) options = ofVariables;
    else if (!text.slice(0, word.from).includes("{")) options = [...snippets, ...keywords];
    else if (!subject) options = [...ofVariables, ...snippets, ...keywords];
    else if (!predicate) options = atPredicate(text, subject);
    else if (!object) options = [...atObject(predicate), ...(["a", "rdf:type"].includes(predicate) ? [] : [...ofVariables, ...classes])];
    else options = keywords;
    if (!context.explicit && word.from === word.to && (!subject || object)) return null;
    return { from: word.from, options, validFor: /^[?$]?[\w.:-]*$/ };
  };
}

/** Return what our ontology says of a term, as an element; null where it says nothing. */
export function described(name, data, detail) {
  const term = data.terms[name];
  if (!term?.label && !term?.definition) return null;
  const box = document.createElement("div");
  const add = (tag, text) => text && box.appendChild(document.createElement(tag)).append(text);
  add("strong", term.label ?? name);
  add("p", term.definition);
  if (term.range) add("p", `leads to: ${data.terms[term.range]?.label ?? term.range}`);
  if (detail) add("p", "Our shapes require it: every one has it.");
  return box;
}

/** Return the change that declares the prefixes of ours that a query uses without a declaration, if any. */
export function declarations(text, data) {
  const missing = undeclared(text, data.prefixes);
  if (!missing.length) return null;
  const from = prologueEnd(text);
  const before = text[from - 1] === ">" ? "\n" : ""; // after a declaration, on a line of its own
  return { from, insert: before + missing.map((prefix) => `PREFIX ${prefix}: <${data.prefixes[prefix]}>\n`).join("") };
}
