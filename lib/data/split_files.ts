/** Which of many files hold a split, by their names. */

import { isRowFile, stemOf } from "./row_files.ts";

const SYNONYMS: Record<string, readonly string[]> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  dev: ["dev", "validation", "valid", "val"],
  test: ["test", "testing"],
};

/**
 * The files of a split among paths (with `/`), in their order: those named exactly like it (`train.jsonl`), or else
 * those in a folder of its name (`dev/…csv`), or else those with its name in theirs (`train-00000-of-00001.parquet`).
 * Where no file names any split, a single file is every split. Empty when none fits.
 */
export function filesOfSplit(paths: readonly string[], split: string): string[] {
  const readable = paths.filter(isRowFile);
  for (const name of SYNONYMS[split] ?? [split]) {
    for (const fits of rules(name)) {
      const found = readable.filter(fits);
      if (found.length > 0) return found;
    }
  }
  const names = Object.values(SYNONYMS).flat();
  const unnamed = !readable.some((path) => names.some((name) => rules(name).some((fits) => fits(path))));
  return unnamed && readable.length === 1 ? readable : [];
}

function rules(split: string): ((path: string) => boolean)[] {
  const word = new RegExp(`(^|[-_.])${split.replace(/[^\w]/g, "\\$&")}([-_.]|$)`, "i");
  return [
    (path) => stemOf(path).toLowerCase() === split.toLowerCase(),
    (path) => path.split("/").slice(0, -1).some((folder) => folder.toLowerCase() === split.toLowerCase()),
    (path) => word.test(path.replace(/^.*\//, "")),
  ];
}
