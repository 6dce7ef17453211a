// Keys of the triage page: each presses the button, or follows the link, that names it. They can be switched off.
const keys = document.getElementById("keys");
keys.parentElement.hidden = false;
keys.checked = sessionStorage.getItem("keys") !== "off";
keys.addEventListener("change", () => sessionStorage.setItem("keys", keys.checked ? "on" : "off"));
const also = { ArrowRight: "j", ArrowLeft: "k" };
let pressed = false; // a page decides once: the answer is on its way
addEventListener("pageshow", () => { pressed = false; });
document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (pressed || !keys.checked || writing || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = also[event.key] ?? event.key.toLowerCase();
  const found = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  if (found) {
    event.preventDefault();
    pressed = true;
    found.click();
  }
});
