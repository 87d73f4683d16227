// Draws every figure[data-chart] from the table inside it, in the colours of the theme, and again when the table, the theme or the width changes.
// The table is what counts: it is there without this script, and screen readers read it.

const drawn = new WeakMap();

const numbers = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });
const moments = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const month = moments({ month: "short", year: "numeric" });
const day = moments({ day: "numeric", month: "short" });
const minute = moments({ hour: "2-digit", minute: "2-digit" });
const DAY = 86400;

// A token may read light-dark(a, b); the browser says which of the two once it is the colour of an element.
const colour = (figure, token) => {
  const probe = figure.querySelector(".chart-canvas");
  probe.style.color = `var(${token})`;
  const value = getComputedStyle(probe).color;
  probe.style.color = "";
  return value;
};
const thin = (rgb, percent) => rgb.replace(/^rgba?\((\d+), (\d+), (\d+).*$/, `rgb($1 $2 $3 / ${percent}%)`);

const valueOf = (cell) => (cell.dataset.value === "" ? null : Number(cell.dataset.value));

const read = (figure) => {
  const table = figure.querySelector("table");
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const rows = [...table.tBodies[0].rows];
  const columns = [...table.tHead.rows[0].cells].map((_, index) => rows.map((row) => valueOf(row.cells[index])));
  return { heads, columns, rows };
};

const timeLabels = (_, splits, axis, space, step) =>
  splits.map((at, index) => {
    const when = new Date(at * 1000);
    if (step >= 28 * DAY) return month.format(when);
    if (step >= DAY) return day.format(when);
    const newDay = index === 0 || Math.floor(at / DAY) !== Math.floor(splits[index - 1] / DAY);
    return newDay ? `${minute.format(when)}\n${day.format(when)}` : minute.format(when);
  });

const pathOf = (draw) => {
  if (draw === "stepped") return window.uPlot.paths.stepped({ align: 1 });
  if (draw === "bars") return window.uPlot.paths.bars({ size: [0.7, 40], align: 0 });
  return undefined;
};

const seriesOf = (figure, head, rowCount) => {
  const stroke = colour(figure, `--hr-line-${head.dataset.line}`);
  const bars = head.dataset.draw === "bars";
  return {
    label: head.textContent,
    stroke,
    width: bars ? 0 : 2,
    fill: bars ? thin(stroke, 70) : figure.hasAttribute("data-from-zero") ? thin(stroke, 12) : undefined,
    paths: pathOf(head.dataset.draw),
    points: { show: !bars && rowCount < 3 },
    spanGaps: true,
  };
};

const draw = (figure) => {
  const canvas = figure.querySelector(".chart-canvas");
  if (!canvas) return;
  drawn.get(figure)?.destroy();
  const { heads, columns, rows } = read(figure);
  const outputs = [...figure.querySelectorAll(".chart-key output")];
  const isTime = figure.dataset.chart === "time";
  const axis = {
    stroke: colour(figure, "--hr-ink-soft"),
    font: '12px Inter, system-ui, sans-serif',
    grid: { stroke: colour(figure, "--hr-rule"), width: 1 },
    ticks: { show: false },
  };
  const last = columns[0].length - 1;
  const tell = (index) => outputs.forEach((output, i) => {
    output.textContent = rows[index].cells[i + 1].textContent;
  });
  const chart = new window.uPlot({
    width: canvas.clientWidth,
    height: canvas.clientHeight,
    padding: [10, 10, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    scales: {
      x: { time: isTime },
      y: figure.hasAttribute("data-from-zero") ? { range: (_, low, high) => [0, (high || 1) * 1.05] } : {},
    },
    axes: [
      { ...axis, gap: 9, size: isTime ? 50 : 34, values: isTime ? timeLabels : (_, splits) => splits.map((x) => numbers.format(x)), space: isTime ? 80 : 60 },
      { ...axis, size: (_, labels) => 16 + 7 * Math.max(3, ...(labels ?? []).map((label) => label.length)), values: (_, splits) => splits.map((y) => numbers.format(y)) },
    ],
    series: [{}, ...heads.map((head) => seriesOf(figure, head, columns[0].length))],
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx ?? last)] },
  }, columns, canvas);
  tell(last);
  drawn.set(figure, chart);
};

const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const chart = drawn.get(target.closest("[data-chart]"));
    if (chart && target.clientWidth) chart.setSize({ width: target.clientWidth, height: target.clientHeight });
  }
});

const drawAll = (root) => {
  for (const figure of root.querySelectorAll("[data-chart]")) {
    draw(figure);
    const canvas = figure.querySelector(".chart-canvas");
    if (canvas) widths.observe(canvas);
  }
};

// Canvas text is drawn once: wait for the typeface, or the first labels keep the fallback.
await document.fonts.load("12px Inter");
drawAll(document);
document.addEventListener("headroom:theme", () => drawAll(document));
document.addEventListener("htmx:after:process", (event) => {
  const figure = event.target.closest?.("[data-chart]");
  if (figure) draw(figure);
  else drawAll(event.target);
});
