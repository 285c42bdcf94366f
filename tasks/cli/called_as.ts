/** How the tasks were called, for help pages: `deno task vft`, `bun run vft`, `aft vft`. */

let leading = "Bun" in globalThis ? "bun run" : "deno task";

/** Says that the tasks are sub-commands of `program`. */
export function calledAs(program: string): void {
  leading = program;
}

/** The words before a task's name. */
export function leadingWords(): string {
  return leading;
}

/** A text in which `deno task` is what was called. */
export function asCalled(text: string): string {
  return leading === "deno task" ? text : text.replaceAll("deno task", leading);
}
