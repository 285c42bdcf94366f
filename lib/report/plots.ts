/**
 * Plots as self-contained SVG. Series differ by colour (Okabe and Ito's, told apart by colour-blind readers) and dash.
 */
import * as Plot from "@observablehq/plot";
import { isolated, type Point, smooth, thin } from "./_curve.ts";
import { fixed } from "./fixed.ts";
import { type Markup, markup } from "./_markup.ts";
import { extent, padded, plotSvg, type PlotText, shorten, shortNumber } from "./_plot_svg.ts";

/** Most points of a drawn line: more than a panel has pixels says nothing. */
const mostPoints = 240;
/** From this many points on, a line is drawn faint and its running mean over it. */
const noisyPoints = 30;

/** One line of a chart. */
export interface Series {
  /** What the legend calls it. */
  readonly name: string;
  /** By rising x; a line has a gap where y is missing or not finite. */
  readonly points: readonly Point[];
  /** A CSS colour. Default by the series' place. */
  readonly colour?: string;
  /** An SVG dash pattern, "" for none. Default by the series' place. */
  readonly dash?: string;
}

/** How lines are drawn. */
export interface LineChartOptions extends PlotText {
  /** Title of the horizontal axis. Default none. */
  readonly x?: string;
  /** Title of the vertical axis. Default none. */
  readonly y?: string;
  /** Range of the vertical axis, to share it between charts. Default what the lines need. */
  readonly domain?: readonly [number, number] | undefined;
  /** Shows shares as percentages, on an axis that stays within 0 and 1. Default false. */
  readonly percent?: boolean | undefined;
  /** Doubling is one length on the horizontal axis, with a tick at every x. Default false. */
  readonly doubling?: boolean | undefined;
  /** A line across at this height, for instance 0 or chance. */
  readonly rule?: number | undefined;
  /** Units of the drawing, about a pixel each. Default 220 × 130. */
  readonly width?: number;
  /** See `width`. */
  readonly height?: number;
  /** Default true when there is more than one series. */
  readonly legend?: boolean;
}

const dashes = ["", "5 3", "1.5 2.5", "8 3 2 3", "3 2", "10 4"];

function styled(series: readonly Series[]): Required<Series>[] {
  return series.map((one, i) => ({
    colour: `var(--series-${i % 6 + 1})`,
    dash: dashes[i % dashes.length] ?? "",
    ...one,
  }));
}

/** The names of a chart's series beside a piece of each line. */
export function legend(series: readonly Series[]): Markup {
  return markup`<ul class="legend">${
    styled(series).map(({ name, colour, dash }) =>
      markup`<li><svg width="26" height="10" aria-hidden="true"><line x1="1" x2="25" y1="5" y2="5" stroke-width="2.5"
        style="stroke:${colour}" stroke-dasharray="${dash}"/></svg> ${name}</li>`
    )
  }</ul>`;
}

/**
 * Lines over steps or any other number. More than 30 points are drawn faint under their running mean over a tenth of
 * them. Without a finite value it says so in place of axes.
 */
export function lineChart(series: readonly Series[], options: LineChartOptions): Markup {
  const { width = 220, height = 130, percent = false, doubling = false, rule } = options;
  const lines = styled(series).map((one) => ({ ...one, points: thin(one.points, mostPoints) }));
  const known = lines.flatMap(({ points }) =>
    points.filter(([, y]) => y !== undefined && Number.isFinite(y))
  );
  const xs = extent(known.map(([x]) => x));
  if (!xs) return markup`<p class="empty">Not measured</p>`;
  const ys = options.domain ?? valueRange(extent([...known.map(([, y]) => y), rule])!, percent);
  const whole = known.every(([x]) => Number.isInteger(x));
  const marks = lines.flatMap(({ points, colour, dash }) => {
    const line = { x: "0", y: "1", stroke: colour, strokeWidth: 1.8 };
    const noisy = points.length >= noisyPoints;
    const shown = noisy ? smooth(points, points.length / 10) : points;
    return [
      !noisy ? null : Plot.line(points, { ...line, strokeWidth: 1, strokeOpacity: 0.3 }),
      Plot.line(shown, { ...line, ...dash && { strokeDasharray: dash } }),
      Plot.dot(isolated(shown), { x: "0", y: "1", r: 2, fill: colour }),
    ];
  });
  const svg = plotSvg({
    width,
    height,
    marginLeft: options.y ? 50 : 38,
    marginRight: 8,
    marginTop: options.y ? 20 : 8,
    marginBottom: options.x ? 34 : 20,
    x: {
      label: options.x ?? null,
      domain: xs[0] === xs[1] ? padded(xs, 0) : xs,
      ...doubling && { type: "log", base: 2 },
      ticks: doubling ? [...new Set(known.map(([x]) => x))] : 4,
      // A step is a whole number, and so is its tick.
      tickFormat: (x: number) => whole && !Number.isInteger(x) ? "" : shortNumber(x),
    },
    y: {
      label: options.y ?? null,
      domain: [...ys],
      ticks: Math.max(3, Math.round(height / 40)),
      grid: true,
      tickFormat: percent ? (y: number) => `${shortNumber(y * 100)}%` : shortNumber,
    },
    marks: [
      rule === undefined ? null : Plot.ruleY([rule], { stroke: "var(--muted)", strokeDasharray: "2 2" }),
      ...marks,
    ],
  }, options);
  return options.legend ?? series.length > 1 ? markup`${legend(series)}${svg}` : svg;
}

/** What an axis of values spans: them and a little room. Shares span at least 20 points, so that a small difference
 * does not look like a large one, and stay within 0 and 1. */
function valueRange([least, most]: readonly [number, number], percent: boolean): [number, number] {
  if (!percent) return padded([least, most], 0.06);
  const room = Math.max(0, 0.2 - (most - least)) / 2;
  const [low, high] = padded([least - room, most + room], 0.06);
  return [Math.max(0, low), Math.min(1, high)];
}

/** One row of a dot chart. */
export interface DotRow {
  /** Stands at its left; cut after 16 characters. */
  readonly name: string;
  /** "–" is written where it is missing or not finite. */
  readonly value?: number | undefined;
  /** Ends of its interval. */
  readonly interval?: readonly [number, number] | undefined;
}

/** How dots are drawn. */
export interface DotChartOptions extends PlotText {
  /** Title of the axis. */
  readonly x: string;
  /** Shows shares as percentages, on an axis that stays within 0 and 1. Default false. */
  readonly percent?: boolean | undefined;
  /** Digits after the point of the written values. Default 1 for percentages, else 2. */
  readonly digits?: number;
  /** A dashed line at this value, for instance the first row's. */
  readonly rule?: number | undefined;
  /** Units of the drawing, about a pixel each. Default 400. */
  readonly width?: number;
}

/** A dot a row, with its interval as a line and its value written at the right. Rows stay in order. */
export function dotChart(rows: readonly DotRow[], options: DotChartOptions): Markup {
  const { percent = false, digits = percent ? 1 : 2, rule, width = 400 } = options;
  const finite = (x: number | undefined): x is number => x !== undefined && Number.isFinite(x);
  const dots = rows.map(({ value, interval }, row) => ({ row, value, interval })).filter(({ value }) =>
    finite(value)
  );
  const range = extent([...dots.flatMap(({ value, interval = [] }) => [value, ...interval]), rule]);
  if (dots.length === 0 || !range) return markup`<p class="empty">Not measured</p>`;
  const names = rows.map(({ name }) => shorten(name, 16));
  const written = rows.map(({ value }) =>
    !finite(value)
      ? "–"
      : (percent ? `${fixed(value * 100, digits)}%` : fixed(value, digits)).replace(/^-/, "−")
  );
  return plotSvg({
    width,
    height: 52 + rows.length * 28,
    marginLeft: 18 + 6.3 * Math.max(...names.map((name) => name.length)),
    marginRight: 62,
    marginTop: 6,
    marginBottom: 40,
    x: {
      label: options.x,
      labelArrow: "none",
      labelAnchor: "center",
      labelOffset: 34,
      domain: valueRange(range, percent),
      ticks: 5,
      tickFormat: percent ? (x: number) => `${shortNumber(x * 100)}%` : shortNumber,
    },
    y: {
      type: "band",
      domain: rows.map((_, row) => row),
      label: null,
      tickSize: 0,
      tickFormat: (row: number) => names[row],
    },
    marks: [
      Plot.gridX({ ticks: 5 }),
      rule === undefined ? null : Plot.ruleX([rule], { stroke: "var(--muted)", strokeDasharray: "3 3" }),
      Plot.ruleY(dots.filter(({ interval }) => interval), {
        y: "row",
        x1: ({ interval }) => interval[0],
        x2: ({ interval }) => interval[1],
        stroke: "var(--series-1)",
        strokeWidth: 3,
        strokeOpacity: 0.4,
        strokeLinecap: "round",
      }),
      Plot.dot(dots, { x: "value", y: "row", r: 5, fill: "var(--series-1)" }),
      Plot.text(rows, {
        y: (_, row) => row,
        text: (_, row) => written[row],
        frameAnchor: "right",
        textAnchor: "end",
        dx: 58,
        fontWeight: 600,
        fontVariant: "tabular-nums",
      }),
    ],
  }, options);
}
