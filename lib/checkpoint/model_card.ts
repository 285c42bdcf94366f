/**
 * A model card: the README.md of a model directory, which the hub shows and reads (its head is YAML).
 *
 * Source of the head's fields: https://huggingface.co/docs/hub/model-cards.
 */

/** What a card tells. */
export interface ModelCard {
  /** What the model was trained from: a name on the hub, or a directory's name. */
  readonly base: string;
  /** The base's commit, where it is known. */
  readonly revision?: string | undefined;
  /** The model of the hub at the beginning of the line; only such a name is written into the head. */
  readonly baseModel?: string | undefined;
  /** The base's licence, by its identifier, where that is known. */
  readonly license?: string | undefined;
  /** Whether the directory holds an adapter and not a whole model. */
  readonly adapter?: boolean;
  /** Name of the objective. */
  readonly objective: string;
  /** Its options. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Names of the data sets in the records. */
  readonly data: readonly string[];
  /** Number of records trained on. */
  readonly records: number;
  /** Learning rate, seed and what else decides the result, by name. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The last line of metrics. */
  readonly figures?: Readonly<Record<string, unknown>> | undefined;
  /** The command that made it. */
  readonly command?: string | undefined;
  /** What ran, by name: `runtime`, `version`. */
  readonly versions?: Readonly<Record<string, string>> | undefined;
}

/** The card's text. Whatever the values hold, they stay values: YAML strings are quoted, Markdown is escaped. */
export function modelCard(card: ModelCard): string {
  const { base, revision, adapter, objective, options = {}, data, records, figures = {}, command } = card;
  const head = {
    ...(card.baseModel !== undefined && { base_model: card.baseModel }),
    library_name: adapter ? "peft" : "transformers",
    ...(card.license !== undefined && { license: card.license }),
    pipeline_tag: "text-generation",
    tags: ["alignment-fine-tuning", objective, "reasoning", ...(adapter ? ["lora"] : [])],
  };
  const what = adapter ? "A LoRA adapter" : "A causal language model";
  const rows: Record<string, unknown> = {
    Base: revision === undefined ? base : `${base} at ${revision}`,
    Data: `${records} records${data.length > 0 ? ` of ${data.join(", ")}` : ""}`,
    Objective: [objective, ...Object.entries(options).map(([name, value]) => `${name} ${show(value)}`)].join(
      ", ",
    ),
    ...card.settings,
  };
  const parts = [
    `---\n${Object.entries(head).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`).join("")}---`,
    `# ${escapeMarkdown(base.replace(/^.*\//, ""))} trained with ${escapeMarkdown(objective)}`,
    `${what}, fine-tuned from ${escapeMarkdown(base)} on chains of thought by Alignment Fine-Tuning.`,
    table(rows),
  ];
  if (Object.keys(figures).length > 0) {
    parts.push(
      "## The last step",
      "Measured on the training batch, so they say little of other problems. Scores are log-probs in nats per token.",
      table(figures),
    );
  }
  if (command !== undefined) parts.push("## Command", fenced(command));
  if (card.versions) parts.push("## Versions", table(card.versions));
  return `${parts.join("\n\n")}\n`;
}

/** The licence and the base in the head of a card; each only where it is a plain identifier. */
export function readCardHead(text: string): { readonly license?: string; readonly baseModel?: string } {
  const head = text.match(/^---\r?\n([^]*?)\r?\n---/)?.[1] ?? "";
  const value = (field: string) =>
    head.match(new RegExp(`^${field}:[ \\t]*["']?([\\w./-]+)["']?[ \\t]*$`, "m"))?.[1];
  const license = value("license"), baseModel = value("base_model");
  return { ...(license && { license }), ...(baseModel && { baseModel }) };
}

/** Options by their names without the dashes as words of a command: a list's items each by the same flag. */
export function commandWords(options: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === false) return [];
    if (value === true) return [`--${name}`];
    return (Array.isArray(value) ? value : [value]).flatMap((item) => [`--${name}`, String(item)]);
  });
}

/** A command line of which every word that needs it is quoted for a POSIX shell. */
export function shellCommand(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
    .join(" ");
}

function table(rows: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(rows).filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `| ${escapeMarkdown(name)} | ${escapeMarkdown(show(value))} |`);
  return ["| | |", "|---|---|", ...lines].join("\n");
}

function show(value: unknown): string {
  if (typeof value === "number") {
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Text that Markdown and HTML show as it is, on one line. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_[\]|<>#&~]/g, (c) => c === "<" ? "&lt;" : c === "&" ? "&amp;" : `\\${c}`)
    .replace(/\s+/g, " ");
}

/** A block of code with a fence longer than any in it. */
function fenced(code: string): string {
  const longest = Math.max(2, ...(code.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}sh\n${code}\n${fence}`;
}
