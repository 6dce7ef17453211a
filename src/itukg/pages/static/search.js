// Search as you type: under the box of the masthead, the first things of the page that the form leads to.
// A combobox with a list (WAI-ARIA APG): arrows move, Enter opens, Escape closes; without a script, the form is the same.
const form = document.querySelector(".masthead .search");
const input = form.querySelector("input");
const list = document.createElement("ul");
const said = document.createElement("span");
const WAIT = 150, LEAST = 2, MOST = 8;
let timer, request, chosen = -1;

Object.assign(list, { id: "suggest", className: "suggest", hidden: true, role: "listbox", ariaLabel: "Things found" });
Object.assign(said, { className: "away", role: "status" });
for (const [name, value] of Object.entries({ role: "combobox", autocomplete: "off", "aria-autocomplete": "list", "aria-controls": "suggest", "aria-expanded": "false" })) {
  input.setAttribute(name, value);
}
form.append(list, said);

function close() {
  clearTimeout(timer);
  request?.abort();
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  choose(-1);
}

function choose(place) {
  chosen = place;
  [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
  list.children[place]?.scrollIntoView({ block: "nearest" });
  if (place < 0) input.removeAttribute("aria-activedescendant");
  else input.setAttribute("aria-activedescendant", list.children[place].id);
}

function option(hit, at) {
  const item = document.createElement("li");
  Object.assign(item, { id: `suggest-${at}`, role: "option" });
  item.dataset.address = hit.querySelector("a").getAttribute("href");
  item.append(...[...hit.querySelector("a").childNodes].map((node) => document.importNode(node, true)));
  const kind = document.createElement("span");
  kind.className = "note";
  const plan = hit.querySelector(":scope > .note")?.textContent;
  kind.textContent = [hit.closest("section").querySelector("h2").textContent, plan].filter(Boolean).join(" · ");
  item.append(kind);
  return item;
}

async function suggest() {
  const words = input.value.trim();
  request?.abort();
  request = new AbortController();
  try {
    const reply = await fetch(`/search?${new URLSearchParams({ q: words, size: MOST })}`, { headers: { accept: "text/html" }, signal: request.signal });
    if (!reply.ok) return close();
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    list.replaceChildren(...[...page.querySelectorAll(".hits > li")].map(option));
  } catch (error) {
    if (error.name !== "AbortError") close();
    return;
  }
  const found = list.children.length;
  list.hidden = !found;
  input.setAttribute("aria-expanded", String(found > 0));
  said.textContent = found ? `${found} suggestions` : "No suggestion";
  choose(-1);
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  if (input.value.trim().length < LEAST) close();
  else timer = setTimeout(suggest, WAIT);
});
input.addEventListener("keydown", (event) => {
  const last = list.children.length - 1;
  if (list.hidden) return;
  if (event.key === "ArrowDown") choose(chosen < last ? chosen + 1 : -1);
  else if (event.key === "ArrowUp") choose(chosen < 0 ? last : chosen - 1);
  else if (event.key === "Enter" && chosen >= 0) location.assign(list.children[chosen].dataset.address);
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
list.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps the focus
list.addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) location.assign(item.dataset.address);
});
input.addEventListener("blur", close);

// Find on this page: of a long page of terms, those that have the words.
for (const finder of document.querySelectorAll("[data-finds]")) {
  const row = finder.closest(".finder");
  const terms = [...document.querySelectorAll(finder.dataset.finds)].map((element) => [element, element.textContent.toLowerCase()]);
  row.hidden = false;
  finder.addEventListener("input", () => {
    const words = finder.value.toLowerCase().split(/\s+/);
    let left = 0;
    for (const [element, text] of terms) left += !(element.hidden = !words.every((word) => text.includes(word)));
    row.querySelector("[role=status]").textContent = finder.value.trim() ? `${left} of ${terms.length}` : "";
  });
}
