"use strict";

const root = document.documentElement;

function themeSwitch() {
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let dark = system.matches;
  const show = () => {
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Switch to light colours" : "Switch to dark colours");
  };
  button.addEventListener("click", () => {
    dark = !dark;
    root.dataset.theme = dark ? "dark" : "light";
    show();
  });
  system.addEventListener("change", (event) => {
    if (!root.dataset.theme) { dark = event.matches; show(); }
  });
  button.hidden = false;
  show();
}

function chartTips() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  document.body.append(tip);
  document.querySelectorAll("svg[data-tips]").forEach((chart) => attachTips(chart, tip));
}

function attachTips(chart, tip) {
  const points = JSON.parse(chart.dataset.tips);
  const [top, bottom] = chart.dataset.span.split(" ");
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "g");
  cursor.setAttribute("class", "cursor");
  cursor.innerHTML = `<path d="M0 ${top}V${bottom}"/><circle r="4"/>`;
  chart.append(cursor);
  chart.setAttribute("tabindex", "0");
  let current = -1;

  const show = (index) => {
    current = Math.max(0, Math.min(points.length - 1, index));
    const [x, y, words] = points[current];
    cursor.firstChild.setAttribute("transform", `translate(${x} 0)`);
    cursor.lastChild.setAttribute("transform", `translate(${x} ${y})`);
    chart.classList.add("active");
    tip.textContent = words;
    tip.classList.add("shown");
    place(x, y);
  };
  const place = (x, y) => {
    const at = new DOMPoint(x, y).matrixTransform(chart.getScreenCTM());
    const width = tip.offsetWidth;
    const beside = at.x + 14 + width > root.clientWidth ? at.x - 14 - width : at.x + 14;
    tip.style.left = `${Math.max(4, beside)}px`;
    tip.style.top = `${Math.max(4, at.y - tip.offsetHeight / 2)}px`;
  };
  const hide = () => {
    chart.classList.remove("active");
    tip.classList.remove("shown");
  };
  const nearest = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    const distance = ([x, y]) => Math.abs(x - at.x) + 0.2 * Math.abs(y - at.y);
    return points.reduce((best, point, i) => (distance(point) < distance(points[best]) ? i : best), 0);
  };
  chart.addEventListener("pointermove", (event) => show(nearest(event)));
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("focus", () => { if (chart.matches(":focus-visible")) { show(Math.max(current, 0)); } });
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") { hide(); }
    if (move) { event.preventDefault(); show(current + move); }
  });
}

function currentSection() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    entries.forEach(({ target, isIntersecting }) => visible[isIntersecting ? "add" : "delete"](target.id));
    const now = [...links.keys()].filter((id) => visible.has(id)).pop();
    links.forEach((link, id) => (id === now ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  }, { rootMargin: "-20% 0px -70% 0px" });
  links.forEach((_, id) => observer.observe(document.getElementById(id)));
}

function openForPrint() {
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
}

themeSwitch();
chartTips();
currentSection();
openForPrint();
