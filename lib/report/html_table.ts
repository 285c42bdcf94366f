import { type Child, type Markup, markup } from "./_markup.ts";
import { type Cell, type Column, formatCell, type Row } from "./table.ts";

/** Columns that any screen has room for. */
const WIDE = 3;

/** A column of a table on a page. */
export interface HtmlColumn extends Column {
  /** A second, small line of its head, for instance the unit. */
  readonly unit?: string;
  /** Which value is marked as the best. Default none. */
  readonly best?: "highest" | "lowest" | undefined;
}

/** Columns for a table whose heads have one line (Markdown): the unit stands behind the title. */
export function oneLineHeads(columns: readonly HtmlColumn[]): HtmlColumn[] {
  return columns.map(({ title, unit, ...column }) => {
    const name = title ?? column.key;
    return { ...column, title: unit === undefined ? name : `${name} (${unit})` };
  });
}

/**
 * A table with heads for columns and rows (the first column), numbers aligned at the right, "–" where there is
 * nothing. The best value of a column is marked, and so are those that read the same; a lone value or a column of
 * equal ones has no best. Without a caption (false) something before it must say what it shows.
 */
export function htmlTable(
  columns: readonly HtmlColumn[],
  options: { readonly rows: readonly Row[]; readonly caption: Child },
): Markup {
  const { rows } = options;
  const best = columns.map((column) => bestText(column, rows));
  const numeric = columns.map(({ key }) => !rows.some((row) => typeof row[key] === "string"));
  const head = columns.map(({ key, title, unit }, i) => {
    const second = unit !== undefined && markup`<small>${unit}</small>`;
    return markup`<th scope="col" class="${numeric[i] && i > 0 && "number"}">${title ?? key}${second}</th>`;
  });
  const body = rows.map((row) =>
    markup`<tr>${
      columns.map((column, i) => {
        const text = shown(row[column.key], column);
        if (i === 0) return markup`<th scope="row" title="${text}">${text}</th>`;
        if (text === best[i]) {
          return markup`<td class="number best"><b>${text}</b><span class="hidden"> (best)</span></td>`;
        }
        return numeric[i] ? markup`<td class="number">${text}</td>` : markup`<td>${text}</td>`;
      })
    }</tr>\n`
  );
  // The frame scrolls on a narrow screen, so it must be reachable by keyboard, and something must say so.
  const cue = columns.length > WIDE &&
    markup`<p class="note cue" aria-hidden="true">Scroll the table sideways →</p>\n`;
  return markup`${cue}<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>
${options.caption && markup`<caption><span>${options.caption}</span></caption>`}
<thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody></table></div>`;
}

function shown(cell: Cell, column: HtmlColumn): string {
  const text = formatCell(cell, column);
  return typeof cell === "string" ? text : text === "" ? "–" : text.replace(/^-/, "−");
}

function bestText(column: HtmlColumn, rows: readonly Row[]): string | undefined {
  if (column.best === undefined) return undefined;
  const known = rows.map((row) => row[column.key]).flatMap((cell) => {
    const value = typeof cell === "object" ? cell?.mean : cell;
    return typeof value === "number" && !Number.isNaN(value) ? [{ value, text: shown(cell, column) }] : [];
  });
  if (new Set(known.map(({ text }) => text)).size < 2) return undefined;
  const better = column.best === "highest" ? Math.max : Math.min;
  const value = better(...known.map((one) => one.value));
  return known.find((one) => one.value === value)!.text;
}
