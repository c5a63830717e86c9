"use strict";

// Which environment this is follows from the name of the host: test--starter.localhost is
// test, starter.localhost is main, and sixteen hex digits name one release.
function environmentOf(host) {
  const [first, rest] = host.split("--", 2);
  if (rest === undefined) return "main";
  return /^[0-9a-f]{16}$/.test(first) ? "release" : first;
}

function showEnvironment(environment) {
  const texts = { main: "You are on main", release: "You are looking at one release" };
  for (const label of document.querySelectorAll("[data-environment]")) {
    label.dataset.environment = environment;
    label.textContent = texts[environment] ?? `You are on ${environment}`;
  }
}

// The other one of test and main, on the same port.
function showCounterpart(environment) {
  const link = document.querySelector("[data-counterpart]");
  if (!link || environment === "release") return;
  const url = new URL(location.href);
  const isMain = environment === "main";
  url.hostname = isMain ? `test--${url.hostname}` : url.hostname.split("--").slice(1).join("--");
  link.href = url.origin + url.pathname;
  link.textContent = isMain ? "See the test site" : "See the main site";
}

async function showRelease() {
  const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
  const release = answer.headers.get("X-Release");
  for (const label of document.querySelectorAll("[data-release]")) {
    label.textContent = release ? `release ${release}` : "";
  }
}

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("pre")) {
    const command = block.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
}

// Served under a name of its own, the host tells nothing, and the page claims nothing.
if (/(^|--)starter\./.test(location.hostname)) {
  const environment = environmentOf(location.hostname);
  showEnvironment(environment);
  showCounterpart(environment);
}
showRelease().catch(() => {});
addCopyButtons();
