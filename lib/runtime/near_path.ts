import { extname, join } from "node:path";
import { exists, isDirectory, listDirectory } from "./files.ts";
import { suggestion } from "./suggestion.ts";

/**
 * `: did you mean PATH?` for a path that is not there, when beside its first part that is missing lies something of a near
 * name and, of a file, the same ending; else nothing.
 *
 *   fixtrues/base → : did you mean fixtures/base?     train.jsnl → : did you mean train.jsonl?
 */
export async function nearPath(path: string): Promise<string> {
  const parts = path.split(/[/\\]/);
  let folder = path.startsWith("/") ? "/" : ".";
  for (const [i, part] of parts.entries()) {
    if (part === "" || part === ".") continue;
    const next = join(folder, part);
    if (await exists(next)) {
      folder = next;
      continue;
    }
    const known = await isDirectory(folder) ? await listDirectory(folder).catch(() => []) : [];
    const near = nearName(part, known);
    if (near === undefined) return "";
    const rest = parts.slice(i + 1), whole = join(folder, near, ...rest);
    const found = rest.length > 0 && await exists(whole) ? whole : join(folder, near);
    const shown = path.startsWith("./") ? `./${found}` : found;
    return `: did you mean ${shown}?`;
  }
  return "";
}

/** The name that differs least: in its ending or before it, not in both. */
function nearName(name: string, known: readonly string[]): string | undefined {
  const stem = (file: string) => file.slice(0, file.length - extname(file).length);
  const visible = known.filter((other) => other.startsWith(".") === name.startsWith("."));
  const sameStem = visible.filter((other) => stem(other) === stem(name) && stem(name) !== "");
  const [only, another] = sameStem;
  if (only !== undefined) {
    return another === undefined ? only : suggestion(name, sameStem).match(/did you mean (.*)\?$/)?.[1];
  }
  const alike = new Map(
    visible.filter((other) => extname(other) === extname(name)).map((other) => [stem(other), other]),
  );
  const found = suggestion(stem(name), [...alike.keys()]).match(/did you mean (.*)\?$/)?.[1];
  return found === undefined ? undefined : alike.get(found);
}
