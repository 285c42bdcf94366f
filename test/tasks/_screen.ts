/** What a terminal shows of the bytes that were written to it: enough of one for lines, bars and saved places. */

/** Deno's own words when processes that start together look at node_modules. */
const foreign = /^Blocking waiting for file lock/;

/** The lines of a screen so many columns wide and rows high, with what scrolled out of it; a wrapped line is one line. */
export function shownLines(bytes: string, { columns, rows }: { columns: number; rows: number }): string[] {
  const screen: { cells: string[]; wrapped: boolean }[] = [{ cells: [], wrapped: false }];
  let x = 0, y = 0, saved = { x: 0, y: 0 };
  /** The first row of the screen: those above have scrolled out. */
  const top = () => Math.max(0, screen.length - rows);
  const down = (wrapped: boolean) => {
    if (++y === screen.length) screen.push({ cells: [], wrapped });
  };
  // deno-lint-ignore no-control-regex -- sequences are what a terminal reads
  for (const [part, number, command, place] of bytes.matchAll(/\x1b\[(\d*)([A-Za-z])|\x1b([78])|[^]/gu)) {
    const { cells } = screen[y]!;
    if (part === "\r") x = 0;
    else if (part === "\n") down(false);
    else if (place === "7") saved = { x, y: y - top() };
    else if (place === "8") ({ x, y } = { x: saved.x, y: saved.y + top() });
    else if (command === "K") cells.length = number === "2" ? 0 : Math.min(x, cells.length);
    else if (command === "G") x = Number(number || 1) - 1;
    else if (part.startsWith("\x1b")) throw new Error(`The screen does not know ${JSON.stringify(part)}`);
    else {
      if (x === columns) {
        down(true);
        x = 0;
      }
      const row = screen[y]!.cells;
      while (row.length < x) row.push(" ");
      row[x++] = part;
    }
  }
  const lines: string[] = [];
  for (const { cells, wrapped } of screen) {
    if (wrapped) lines.push((lines.pop() ?? "") + cells.join(""));
    else lines.push(cells.join(""));
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== "" && !foreign.test(line));
}
