/** The groups in which `--help` lists the options of a task that has many. */

/** Options' names without the dashes, by the heading above them. */
const groups: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Model", ["model", "adapter", "base-dtype", "lora", "unknown-tensors", "dtype"]],
  ["Server", [
    ...["generate-from", "served-model", "served-key-env", "served-requests", "served-timeout"],
    ...["served-retries"],
  ]],
  ["Data", [
    ...[
      "data",
      "test-data",
      "ranked-data",
      "input",
      "output",
      "data-directory",
      "limit",
      "test-limit",
      "shard",
      "test-samples",
    ],
    ...["calculator", "fields", "answer-index", "allow-partial", "too-long"],
  ]],
  ["Prompts", ["template", "chat", "system", "few-shot", "template-variables", "template-date"]],
  ["Sampling", [
    ...["samples", "temperature", "top-k", "top-p", "max-tokens", "stop", "votes"],
    ...["keep-duplicates", "token-ids"],
  ]],
  ["Training", [
    ...[
      "objective",
      "constraint",
      "constraints",
      "label",
      "train-turns",
      "rounds",
      "start",
      "epochs",
      "align-epochs",
    ],
    ...["steps", "batch-size"],
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
  ["Machine", ["backend", "gpu", "threads", "jobs", "micro-batch", "recompute", "slots", "profile"]],
  ["Every task", ["config", "dry-run", "quiet", "debug", "help", "version"]],
];

/** Fewest options that are listed in groups: a dozen can be read in one go. */
const FEWEST = 16;

/**
 * The sections of a page, in their order; what is in no group stands between those of the task and those of every task,
 * under the heading that it brings.
 *
 * @param named entries of the list of options, each with its flags
 */
export function inGroups<E>(
  named: readonly {
    readonly entry: E;
    readonly flags: readonly string[];
    readonly heading?: string | undefined;
  }[],
): { readonly title: string; readonly entries: readonly E[] }[] {
  if (named.length < FEWEST) return [{ title: "Options", entries: named.map(({ entry }) => entry) }];
  const others = "Others of this task";
  const groupOf = (flags: readonly string[]) =>
    groups.findIndex(([, names]) => flags.some((flag) => names.includes(flag.replace(/^-+/, ""))));
  const entriesOf = (index: number) => {
    const names = groups[index]![1];
    const place = (flags: readonly string[]) =>
      Math.min(...flags.map((flag) => names.indexOf(flag.replace(/^-+/, ""))).filter((i) => i >= 0));
    return named.filter(({ flags }) => groupOf(flags) === index)
      .toSorted((a, b) => place(a.flags) - place(b.flags)).map(({ entry }) => entry);
  };
  const listed = groups.map(([title], index) => ({ title, entries: entriesOf(index) }));
  const ungrouped = named.filter(({ flags }) => groupOf(flags) < 0);
  const own = [...Map.groupBy(ungrouped, ({ heading }) => heading ?? others)]
    .toSorted(([a], [b]) => Number(a !== others) - Number(b !== others));
  return [
    ...listed.slice(0, -1),
    ...own.map(([title, listed]) => ({ title, entries: listed.map(({ entry }) => entry) })),
    ...listed.slice(-1),
  ]
    .filter(({ entries }) => entries.length > 0);
}
