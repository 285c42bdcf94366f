import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeHtml, Markup } from "./_markup.ts";

const { document } = parseHTML("<!doctype html><html></html>") as unknown as Required<
  Pick<Plot.PlotOptions, "document">
>;

/** What a plot says to those who do not see it. */
export interface PlotText {
  /** One sentence that stands for the picture. */
  readonly label: string;
}

/**
 * A plot as SVG, drawn without a browser. Colours are CSS variables, so that one drawing serves light, dark and print.
 * It fills its container's width; its style sheet is the page's.
 */
export function plotSvg(plot: Plot.PlotOptions, { label }: PlotText): Markup {
  const svg = Plot.plot({ document, className: "plot", style: { fontSize: "11px" }, ...plot }).outerHTML;
  const open = `<svg role="img" aria-label="${escapeHtml(label)}" `;
  return new Markup(svg.replace(/<style>[^<]*<\/style>/, "").replace(/^<svg /, () => open));
}

/** Text for a place of `length` characters: the rest becomes "…". */
export function shorten(text: string, length: number): string {
  const characters = [...text.replace(/\s+/g, " ")];
  return characters.length <= length ? characters.join("") : characters.slice(0, length - 1).join("") + "…";
}

/** A number for a narrow axis, three digits: "0.25", "−1.5", "12k", "1e-7". */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  const text = size >= 1e6
    ? `${Number((value / 1e6).toPrecision(3))}M`
    : size >= 1e4
    ? `${Number((value / 1e3).toPrecision(3))}k`
    : String(Number(value.toPrecision(size >= 1e3 ? 4 : 3)));
  return text.replace(/^-/, "−");
}

/** Lowest and highest of the finite numbers, undefined when there is none. */
export function extent(numbers: Iterable<number | undefined>): [number, number] | undefined {
  let low = Infinity, high = -Infinity;
  for (const x of numbers) {
    if (x === undefined || !Number.isFinite(x)) continue;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  return low <= high ? [low, high] : undefined;
}

/** A domain with room at both ends, never empty; `share` is the room as a share of its length. */
export function padded([low, high]: readonly [number, number], share: number): [number, number] {
  const room = high > low ? (high - low) * share : Math.abs(low) * 0.1 || 1;
  return [low - room, high + room];
}
