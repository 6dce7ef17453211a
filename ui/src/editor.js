// The SPARQL page with a script: an editor over the form's text field, answers without leaving the page, and a way to stop.

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history as undoHistory, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { sparql } from "@codemirror/legacy-modes/mode/sparql";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers } from "@codemirror/view";
import { completions, declarations, described } from "./completion.js";
import { tokens } from "./sparql.js";
import { highlighting, theme } from "./theme.js";

const LONGEST_ADDRESS = 60_000; // characters; the server reads 65 kB of an address, and the rest of a query from a body

const form = document.getElementById("console");
const field = document.getElementById("query");
const stop = document.getElementById("stop");
const progress = document.getElementById("progress");
const format = document.getElementById("format");
const knowing = new Compartment(); // what needs the words of the ontology, which arrive a moment later

// In a shadow tree the editor may add its styles by script, which our content security policy forbids elsewhere.
const host = document.createElement("div");
field.before(host);
const root = host.attachShadow({ mode: "open" });
const view = new EditorView({
  doc: field.value,
  root,
  parent: root,
  extensions: [
    keymap.of([
      { key: "Mod-Enter", run: () => (form.requestSubmit(), true) },
      { key: "Tab", run: acceptCompletion }, // and leaves the editor where nothing is offered
      ...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap,
    ]),
    lineNumbers(), lintGutter(), highlightActiveLine(), highlightActiveLineGutter(), undoHistory(), bracketMatching(), closeBrackets(),
    indentUnit.of("  "), EditorView.lineWrapping, StreamLanguage.define(sparql), syntaxHighlighting(highlighting), theme,
    EditorView.contentAttributes.of({ "aria-label": "Query", spellcheck: "false", tabindex: "0" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) field.value = update.state.doc.toString();
      // The list can be scrolled, so that it must be reachable (WCAG 2.1.1); the keys that choose from it stay in the text.
      requestAnimationFrame(() => root.querySelector("[role=listbox]")?.setAttribute("tabindex", "0"));
    }),
    knowing.of([]),
  ],
});
field.hidden = true;
document.getElementById("keys").hidden = false;
form.querySelector("label[for=query]").addEventListener("click", () => view.focus());

const known = await fetch(field.dataset.completion).then((answer) => (answer.ok ? answer.json() : null), () => null);
if (known) view.dispatch({ effects: knowing.reconfigure(knows(known)) });

/** What the editor does with the words of the ontology: it completes, explains, and declares prefixes. */
function knows(data) {
  return [
    autocompletion({ override: [completions(data)], icons: false }),
    hoverTooltip((_view, at) => {
      const token = tokens(view.state.doc.toString()).find((each) => each.from <= at && at <= each.to);
      const dom = token?.kind === "name" && described(token.text, data);
      return dom ? { pos: token.from, end: token.to, above: true, create: () => ({ dom }) } : null;
    }),
    EditorState.transactionFilter.of((change) => {
      if (!change.docChanged || !change.isUserEvent("input")) return change;
      const added = declarations(change.newDoc.toString(), data);
      return added ? [change, { changes: added, sequential: true }] : change;
    }),
  ];
}

let running = null;
let said = new URL(location).search;

form.addEventListener("submit", (event) => {
  if (format.value !== "html") return; // the browser fetches a file
  event.preventDefault();
  run();
});
stop.addEventListener("click", () => running?.abort());
addEventListener("popstate", () => location.reload());
mark(document.getElementById("answer"));

/** Send the query, and show its answer, which is a part of the page that the form would lead to. */
async function run() {
  running?.abort();
  const own = (running = new AbortController());
  const sent = new URLSearchParams(new FormData(form));
  sent.delete("format");
  const address = `/sparql?${sent}`;
  const request = { headers: { Accept: "text/html" }, signal: own.signal };
  const begun = performance.now();
  stop.hidden = false;
  progress.textContent = "Running …";
  try {
    const isShort = address.length < LONGEST_ADDRESS;
    const answer = await (isShort ? fetch(address, request) : fetch("/sparql", { ...request, method: "POST", body: sent }));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById("answer")) throw new Error(`status ${answer.status}`);
    const found = document.importNode(page.getElementById("answer"), true);
    document.getElementById("answer").replaceWith(found);
    mark(found);
    const seconds = ((performance.now() - begun) / 1000).toFixed(2);
    const rows = found.querySelector("[data-found]")?.textContent;
    progress.textContent = answer.ok ? `${rows} in ${seconds} s` : found.querySelector("strong").textContent;
    if (answer.ok && isShort && `?${sent}` !== said) history.pushState(null, "", address);
    said = new URL(location).search;
  } catch (error) {
    if (own !== running) return;
    progress.textContent = own.signal.aborted ? "Stopped" : `The server gave no answer: ${error.message}`;
  }
  stop.hidden = true;
}

/** Mark in the editor where the answer says that the query is wrong. */
function mark(answer) {
  const wrong = answer.querySelector("[data-line]");
  const found = [];
  if (wrong) {
    const line = view.state.doc.line(Math.min(Number(wrong.dataset.line), view.state.doc.lines));
    const from = Math.min(line.from + Number(wrong.dataset.column) - 1, line.to);
    const token = tokens(view.state.doc.toString()).find((each) => each.from <= from && from < each.to);
    const to = token?.to ?? Math.min(from + 1, line.to);
    found.push({ from: from < to ? from : Math.max(line.from, from - 1), to, severity: "error", message: wrong.querySelector("p").textContent });
    view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    view.focus();
  }
  view.dispatch(setDiagnostics(view.state, found));
}
