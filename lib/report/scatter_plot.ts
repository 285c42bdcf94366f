import * as Plot from "@observablehq/plot";
import { type Markup, markup } from "./_markup.ts";
import { shapes, symbols } from "./_symbols.ts";
import { extent, padded, plotSvg, type PlotText, shortNumber } from "./_plot_svg.ts";

/** A cloud of points of one colour and shape. */
export interface ScatterSeries {
  /** What the legend calls it. */
  readonly name: string;
  /** Points that are not finite are left out. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** How points are drawn. */
export interface ScatterPlotOptions extends PlotText {
  /** Title of the horizontal axis. */
  readonly x: string;
  /** Title of the vertical axis. */
  readonly y: string;
  /** Shows shares as percentages, on axes that stay within 0 and 1. Default false. */
  readonly percent?: boolean | undefined;
  /** Units of the drawing, about a pixel each. Default 420 × 300. */
  readonly width?: number;
  /** See `width`. */
  readonly height?: number;
}

/**
 * Points by two measures. Series differ by colour and shape; a thin line is the least-squares fit of each series that
 * has at least three points. Without a finite point it says so in place of axes.
 */
export function scatterPlot(series: readonly ScatterSeries[], options: ScatterPlotOptions): Markup {
  const { percent = false, width = 420, height = 300 } = options;
  const clouds = series.map(({ points }) =>
    points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))
  );
  const range = (axis: 0 | 1) => extent(clouds.flatMap((cloud) => cloud.map((point) => point[axis])));
  const [xs, ys] = [range(0), range(1)];
  if (!xs || !ys) return markup`<p class="empty">Not measured</p>`;
  const domain = (ends: readonly [number, number]): number[] => {
    const [low, high] = padded(ends, 0.08);
    return percent ? [Math.max(0, low), Math.min(1, high)] : [low, high];
  };
  const tickFormat = percent ? (share: number) => `${shortNumber(share * 100)}%` : shortNumber;
  const svg = plotSvg({
    width,
    height,
    marginLeft: 50,
    marginRight: 12,
    marginTop: 24,
    marginBottom: 40,
    x: {
      label: options.x,
      labelAnchor: "center",
      labelArrow: "none",
      labelOffset: 34,
      domain: domain(xs),
      ticks: 5,
      tickFormat,
    },
    y: { label: options.y, labelArrow: "none", domain: domain(ys), ticks: 5, grid: true, tickFormat },
    marks: clouds.flatMap((cloud, i) => {
      const stroke = `var(--series-${i % 6 + 1})`, place = { x: "0", y: "1" };
      const several = new Set(cloud.map(([x]) => x)).size >= 3;
      return [
        several ? Plot.linearRegressionY(cloud, { ...place, stroke, strokeOpacity: 0.5, ci: 0 }) : null,
        Plot.dot(cloud, { ...place, stroke, symbol: symbols[i % 6], r: 4, strokeWidth: 1.8 }),
      ];
    }),
  }, options);
  const legend = markup`<ul class="legend">${
    series.map(({ name }, i) =>
      markup`<li><svg width="12" height="12" aria-hidden="true" style="color:var(--series-${i % 6 + 1})">${
        shapes[i % 6]
      }</svg> ${name}</li>`
    )
  }</ul>`;
  return series.length > 1 ? markup`${legend}${svg}` : svg;
}
