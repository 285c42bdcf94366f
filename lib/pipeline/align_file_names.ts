import { modelFileNames } from "../checkpoint/model_file_names.ts";
import type { Owned } from "../runtime/owned_files.ts";
import { fileName } from "./align_report.ts";

/** What a run with these kinds of model writes into its folder. */
export function alignFileNames(kinds: readonly string[]): Owned {
  const names = ["aft-none", "aft-dc", "aft-bc", ...kinds.map(fileName)]
    .map((name) => name.replaceAll(".", "\\.")).join("|");
  return {
    files: new RegExp(
      `^(?:align\\.json|results\\.json|report\\.html|run\\.lock|(?:test-|eval-)?candidates(?:-(?:${names})-round-\\d+)?\\.jsonl)$`,
    ),
    folders: [[new RegExp(`^(?:vft|control|${names})(?:-round-\\d+)?$`), modelFileNames]],
  };
}
