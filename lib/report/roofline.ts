import * as Plot from "@observablehq/plot";
import { type Markup, markup } from "./_markup.ts";
import { shapes, symbols } from "./_symbols.ts";
import { extent, plotSvg, shortNumber } from "./_plot_svg.ts";

/** Something that was measured: how much it computes for each byte, and how fast. */
export interface RooflinePoint {
  /** Which family it belongs to: its colour and shape. */
  readonly family: string;
  /** What it is, for who points at it. */
  readonly title: string;
  /** Operations for each byte. */
  readonly intensity: number;
  /** Operations a second. */
  readonly rate: number;
}

/** The two ceilings. */
export interface Roof {
  /** Operations a second. */
  readonly arithmetic: number;
  /** Bytes a second. */
  readonly bandwidth: number;
}

/**
 * Measured rates under the roof of what can be reached, min(arithmetic, intensity · bandwidth), both axes logarithmic
 * (Williams, Waterman and Patterson, CACM 52(4), 2009). Points that compute nothing have no place in it. Without a point
 * it says so in place of axes.
 */
export function roofline(
  points: readonly RooflinePoint[],
  { roof, label, width = 480, height = 340 }: {
    readonly roof: Roof;
    /** One sentence that stands for the picture. */
    readonly label: string;
    readonly width?: number;
    readonly height?: number;
  },
): Markup {
  const known = points.filter(({ intensity, rate }) => intensity > 0 && rate > 0 && Number.isFinite(rate));
  const xs = extent(known.map(({ intensity }) => intensity)),
    ys = extent(known.map(({ rate }) => rate / 1e9));
  if (!xs || !ys) return markup`<p class="empty">Not measured</p>`;
  const families = [...new Set(points.map(({ family }) => family))];
  const ridge = roof.arithmetic / roof.bandwidth;
  const [low, high] = [xs[0] / 1.5, Math.max(xs[1], ridge) * 1.5];
  const at = (intensity: number) => Math.min(roof.arithmetic, intensity * roof.bandwidth) / 1e9;
  const corners = [low, ...low < ridge && ridge < high ? [ridge] : [], high];
  const ticks = (from: number, to: number) => {
    const first = Math.ceil(Math.log10(from)), last = Math.floor(Math.log10(to));
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => 10 ** (first + i));
  };
  const domain = [Math.min(ys[0], at(low)) / 1.5, Math.max(ys[1], at(high)) * 1.6];
  const svg = plotSvg({
    width,
    height,
    marginLeft: 54,
    marginRight: 14,
    marginTop: 24,
    marginBottom: 42,
    x: {
      type: "log",
      label: "operations for each byte",
      labelAnchor: "center",
      labelArrow: "none",
      labelOffset: 36,
      domain: [low, high],
      ticks: ticks(low, high),
      tickFormat: shortNumber,
    },
    y: {
      type: "log",
      label: "billion operations a second",
      labelArrow: "none",
      domain,
      ticks: ticks(domain[0]!, domain[1]!),
      tickFormat: shortNumber,
      grid: true,
    },
    marks: [
      Plot.line(corners.map((x) => [x, at(x)]), { x: "0", y: "1", stroke: "var(--ink)", strokeWidth: 2 }),
      ...families.map((family, i) =>
        Plot.dot(known.filter((point) => point.family === family), {
          x: "intensity",
          y: (point: RooflinePoint) => point.rate / 1e9,
          stroke: `var(--series-${i % 6 + 1})`,
          symbol: symbols[i % 6]!,
          r: 3.5,
          strokeWidth: 1.6,
          title: "title",
        })
      ),
    ],
  }, { label });
  const legend =
    markup`<ul class="legend"><li><svg width="26" height="10" aria-hidden="true"><line x1="1" x2="25" y1="5"
y2="5" stroke-width="2.5" style="stroke:var(--ink)"/></svg> the roof: arithmetic, or memory</li>${
      families.map((family, i) =>
        markup`<li><svg width="12" height="12" aria-hidden="true" style="color:var(--series-${i % 6 + 1})">${
          shapes[i % 6]
        }</svg> ${family}</li>`
      )
    }</ul>`;
  return markup`${legend}${svg}`;
}
