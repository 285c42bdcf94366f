/** Configuration files: YAML or JSON, for one task or with a section for each task of a chain. */

import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { exists, readText } from "../../lib/runtime/files.ts";
import { nearPath } from "../../lib/runtime/near_path.ts";
import { suggestion } from "../../lib/runtime/suggestion.ts";
import { elsewhere } from "./foreign_words.ts";
import { configurationKey, type Option, type Options, refusal } from "./option.ts";
import { lasting, shared } from "./shared_options.ts";
import { taskNames } from "./task_names.ts";

/** Nodes that an alias may stand for in all, as often as it is used: a few lines can otherwise spell out a gigabyte. */
const MOST_ALIASES = 100;

type Content = Readonly<Record<string, unknown>>;

/**
 * Reads a configuration file, a mapping from option names without the dashes to values (`max-tokens: 64`), in one of
 * three forms:
 *
 * - for one task, as it is;
 * - what `--dry-run` printed or a run directory keeps, whose `options` are such a mapping, and which names its task;
 * - for a chain of tasks: a section a task, and above them what all of them share (`backend: wasm`).
 *
 * `null` leaves an option unset. Throws UsageError for an unknown key (with a suggestion), a value out of range, and a
 * file that is another task's.
 *
 * @param task the task's name
 */
export async function readConfiguration(
  path: string,
  { task, options }: { readonly task: string; readonly options: Options },
): Promise<Record<string, unknown>> {
  const refuse = (why: string) => new UsageError(`Cannot read ${path}: ${why}`);
  const content = await readMapping(path);
  if (isMapping(content.options) && "task" in content) {
    if (content.task !== task) throw refuse(`it is a configuration of ${content.task}, not of ${task}`);
    return values(content.options, options, refuse);
  }
  const own = new Set(Object.values(options).map(configurationKey));
  const sections = Object.keys(content).filter((key) => isMapping(content[key]) && !own.has(key));
  if (sections.length === 0) return values(content, options, refuse);
  for (const name of sections) {
    if ((taskNames as readonly string[]).includes(name) || name === task) continue;
    throw refuse(`"${name}" is no task's section${suggestion(name, taskNames)}`);
  }
  if (!sections.includes(task)) {
    throw refuse(`it has no section "${task}", only ${sections.map((name) => `"${name}"`).join(", ")}`);
  }
  const known = new Set(Object.values({ ...shared, ...lasting }).map(configurationKey));
  const above = Object.entries(content).filter(([key]) =>
    !sections.includes(key) && (own.has(key) || !known.has(key))
  );
  return {
    ...values(Object.fromEntries(above), options, refuse),
    ...values(content[task] as Content, options, refuse),
  };
}

/** The mapping in a file; errors say line and column. */
async function readMapping(path: string): Promise<Content> {
  const refuse = (why: string) => new UsageError(`Cannot read ${path}: ${why}`);
  if (!await exists(path)) throw refuse(`no such file or directory${await nearPath(path)}`);
  const source = await readText(path).catch((error) => {
    throw error instanceof InputError ? new UsageError(error.message, { cause: error }) : error;
  });
  let content: unknown;
  if (/\.json$/i.test(path)) {
    try {
      content = JSON.parse(source);
    } catch (error) {
      throw refuse(`expected JSON: ${(error as Error).message.replace(/\s+/g, " ")}`);
    }
  } else {
    const { parseDocument } = await import("yaml"); // longer to load than all else that a small task needs
    const document = parseDocument(source, { version: "1.2", prettyErrors: true });
    const [trouble] = [...document.errors, ...document.warnings];
    if (trouble?.code === "MULTIPLE_DOCS") throw refuse("expected one YAML document: found several");
    // Behind the first line comes a picture of the place.
    if (trouble) throw refuse(`expected YAML: ${trouble.message.split("\n")[0]!.replace(/:$/, "")}`);
    try {
      content = document.toJS({ maxAliasCount: MOST_ALIASES });
    } catch (error) {
      if (!/alias count/i.test((error as Error).message)) throw error;
      throw refuse(`its aliases stand for more than ${MOST_ALIASES} times what is written`);
    }
  }
  if (isMapping(content)) return content;
  throw refuse("expected option names and their values, or a section a task");
}

function isMapping(value: unknown): value is Content {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function values(
  wanted: Content,
  options: Options,
  refuse: (why: string) => UsageError,
): Record<string, unknown> {
  const byKey = new Map(Object.entries(options).map(([name, of]) => [configurationKey(of), { name, of }]));
  const read: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const found = byKey.get(key);
    if (!found) {
      throw refuse(`unknown key "${key}"${elsewhere(key, options) ?? suggestion(key, [...byKey.keys()])}`);
    }
    if (value === null) continue;
    const result = readValue(found.of, value);
    if (result === undefined) throw refuse(`"${key}" ${refusal(found.of, value, "file")}`);
    read[found.name] = result;
  }
  return read;
}

/** A value of the file; undefined when it is none of the option's. */
function readValue(of: Option<unknown>, value: unknown): unknown {
  if (of.json !== "list") {
    const text = textOf(value, of);
    return text === undefined ? undefined : of.read(text);
  }
  const right = Array.isArray(value) &&
    value.every((item) => typeof item === "string" && of.read(item) !== undefined);
  return right ? value : undefined;
}

/** A value as a command line would have it; undefined where it is of another kind than the option's. */
function textOf(value: unknown, { json, choices }: Option<unknown>): string | undefined {
  const kind: string = typeof value;
  if (kind === json) return String(value);
  if (json !== "string") return undefined;
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string")) {
    return value.join(","); // data: [gsm8k, aqua]
  }
  return kind === "number" && choices.includes(String(value)) ? String(value) : undefined; // answer-index: 0
}
