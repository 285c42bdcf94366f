/** The groups in which `--help` lists the options of a task that has many. */

/** Options' names without the dashes, by the heading above them. */
const groups: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Model", ["model", "adapter", "base-dtype", "lora", "unknown-tensors", "dtype"]],
  ["Data", [
    ...["data", "test-data", "ranked-data", "input", "output", "data-directory", "limit", "test-limit"],
    ...["calculator", "fields", "answer-index", "too-long"],
  ]],
  ["Prompts", ["template", "chat", "system", "few-shot"]],
  ["Sampling", [
    ...["samples", "temperature", "top-k", "top-p", "max-tokens", "votes", "keep-duplicates", "token-ids"],
  ]],
  ["Training", [
    ...["objective", "constraint", "constraints", "rounds", "epochs", "align-epochs", "steps", "batch-size"],
    ...["learning-rate", "align-learning-rate", "warmup", "decay", "weight-decay", "clip", "seed"],
  ]],
  ["Evaluation while training", [
    ...[
      "eval-data",
      "eval-share",
      "eval-limit",
      "eval-every",
      "eval-generate",
      "eval-max-tokens",
      "keep-best",
    ],
    ...["patience"],
  ]],
  ["What is written", [
    ...["out", "resume", "overwrite", "log-every", "save-every", "keep-last", "no-tensorboard"],
  ]],
  ["Machine", ["backend", "threads", "micro-batch", "recompute", "slots", "profile"]],
  ["Every task", ["config", "dry-run", "quiet", "debug", "help", "version"]],
];

/** Fewest options that are listed in groups: a dozen can be read in one go. */
const FEWEST = 16;

/**
 * The sections of a page, in their order; what is in no group stands between those of the task and those of every task.
 *
 * @param named entries of the list of options, each with its flags
 */
export function inGroups<E>(
  named: readonly { readonly entry: E; readonly flags: readonly string[] }[],
): { readonly title: string; readonly entries: readonly E[] }[] {
  if (named.length < FEWEST) return [{ title: "Options", entries: named.map(({ entry }) => entry) }];
  const groupOf = (flags: readonly string[]) =>
    groups.findIndex(([, names]) => flags.some((flag) => names.includes(flag.replace(/^-+/, ""))));
  const entriesOf = (index: number) => {
    const names = groups[index]?.[1] ?? [];
    const place = (flags: readonly string[]) =>
      Math.min(...flags.map((flag) => names.indexOf(flag.replace(/^-+/, ""))).filter((i) => i >= 0));
    return named.filter(({ flags }) => groupOf(flags) === index)
      .toSorted((a, b) => index < 0 ? 0 : place(a.flags) - place(b.flags)).map(({ entry }) => entry);
  };
  const listed = groups.map(([title], index) => ({ title, entries: entriesOf(index) }));
  return [
    ...listed.slice(0, -1),
    { title: "Others of this task", entries: entriesOf(-1) },
    ...listed.slice(-1),
  ]
    .filter(({ entries }) => entries.length > 0);
}
