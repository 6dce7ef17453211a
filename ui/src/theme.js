// The editor in the page's own colours: the tokens of style.css reach into its shadow tree.

import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const theme = EditorView.theme({
  "&": { border: "1px solid var(--strong-rule)", borderRadius: "var(--round)", background: "var(--raised)", color: "var(--ink)", fontSize: "var(--small)" },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", maxHeight: "70vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: ".6rem 0" },
  ".cm-content, .cm-gutter": { minHeight: "16rem" },
  ".cm-gutters": { background: "var(--sheet)", color: "var(--quiet)", borderRight: "1px solid var(--rule)", borderRadius: "var(--round) 0 0 var(--round)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "transparent" },
  "&.cm-focused :is(.cm-activeLine, .cm-activeLineGutter)": { background: "var(--accent-soft)" },
  "&.cm-focused .cm-matchingBracket": { background: "transparent", outline: "1px solid var(--strong-rule)" },
  "&.cm-focused .cm-nonmatchingBracket": { background: "var(--bad-soft)" },
  ".cm-tooltip": { background: "var(--raised)", color: "var(--ink)", border: "1px solid var(--strong-rule)", borderRadius: "var(--round)", fontFamily: "var(--text)", boxShadow: "0 4px 16px #0003" },
  ".cm-tooltip-hover": { padding: ".5rem .75rem", maxWidth: "26rem" },
  ".cm-tooltip p, .cm-completionInfo p": { margin: ".25rem 0 0" },
  ".cm-tooltip.cm-completionInfo": { padding: ".5rem .75rem", maxWidth: "24rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "18rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: ".2rem .6rem", minHeight: "1.5rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > completion-section": { font: "600 .8125rem var(--text)", color: "var(--quiet)", opacity: 1, borderBottom: "1px solid var(--rule)", padding: ".3rem .6rem .15rem" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", fontFamily: "var(--text)", opacity: 0.85 },
  ".cm-completionMatchedText": { textDecorationThickness: "2px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", background: "var(--bad-soft)" },
  ".cm-snippetField": { background: "var(--accent-soft)" },
});

export const highlighting = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.variableName, tags.standard(tags.variableName)], color: "var(--judged)" },
  { tag: [tags.string, tags.literal], color: "var(--good)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
  { tag: [tags.atom, tags.propertyName, tags.tagName], color: "var(--derived)" },
]);
