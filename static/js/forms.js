// Small comforts for forms and menus; every page works without them.
//
// data-submit-once       on a <form>: a second click does not send it twice
// data-submit-on-change  on a <select>: sends its form; the form's [data-without-script] button is hidden
// data-error-summary     takes the focus when it appears, so that a screen reader starts there
// details.menu           closes on Escape and on a click elsewhere
// [data-problem]         shows one sentence when a request made by htmx failed

const onNewContent = (root) => {
  root.querySelector("[data-error-summary]")?.focus();
  for (const select of root.querySelectorAll("select[data-submit-on-change]")) {
    for (const button of select.form.querySelectorAll("[data-without-script]")) button.hidden = true;
  }
};

const sentence = (status) => {
  if (status === 403) return "You may not do this, or your session has ended. Load the page again and log in.";
  if (status === 429) return "Too many requests. Wait a minute and try again.";
  if (status >= 500) return "The registry could not answer. Nothing was changed that you do not see here; try again.";
  return "The request was refused. Load the page again and repeat it.";
};

const showProblem = (text) => {
  const place = document.querySelector("[data-problem]");
  if (!place) return;
  place.querySelector("p").textContent = text;
  place.hidden = false;
};

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-submit-once") || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
// Coming back by the browser's Back button shows the old page, flag and all.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submit-on-change]")) event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  }
});

document.addEventListener("htmx:after:process", (event) => onNewContent(event.target));
// Answers that show themselves (409, 422: the form again, with its errors) are swapped in; the rest would vanish without a word.
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail.ctx.response.raw.status;
  if (status !== 409 && status !== 422) showProblem(sentence(status));
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.error?.name !== "AbortError") showProblem("The registry could not be reached. Check your connection and try again.");
});

onNewContent(document);
