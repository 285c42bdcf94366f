/** The words after `deno task` that a configuration file may have a section for. */
export const taskNames = [
  "align",
  "vft",
  "generate",
  "score",
  "ca-align",
  "ask",
  "evaluate",
  "study",
  "data",
  "table",
  "merge",
  "merge-shards",
  "doctor",
  "pack",
  "make-base",
  "gpu-report",
] as const;
