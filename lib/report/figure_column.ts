import type { Figure } from "../evaluate/figures.ts";
import type { HtmlColumn } from "./html_table.ts";
import type { Term } from "./page.ts";
import type { Column } from "./table.ts";

/** A figure's column on a page: title, unit with an arrow to the better side, and the best value marked. */
export function pageColumn({ key, title, unit, better, digits, percent }: Figure): HtmlColumn {
  return {
    key,
    title,
    unit: better === undefined ? unit : `${unit} ${better === "higher" ? "↑" : "↓"}`,
    digits,
    ...(percent && { percent }),
    ...(better && { best: better === "higher" ? "highest" : "lowest" }),
  };
}

/** A figure's column in a terminal: its short name, with "%" for a share. */
export function textColumn({ key, short, digits, percent }: Figure): Column {
  return { key, title: percent ? `${short} %` : short, digits, ...(percent && { percent }) };
}

/** A figure as a term of a list that explains numbers. */
export function termOf({ title, better, meaning }: Figure): Term {
  return { term: title, ...(better && { better }), meaning };
}
