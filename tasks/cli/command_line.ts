/**
 * From the command line and the configuration file to the values of a task's options.
 */

import { runParser } from "@optique/core/facade";
import { object } from "@optique/core/constructs";
import { type DocPage, formatDocPage } from "@optique/core/doc";
import { formatMessage, lineBreak, type Message, message, text } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { flag, option } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { readJson } from "../../lib/runtime/files.ts";
import { suggestion } from "../../lib/runtime/suggestion.ts";
import { asCalled, leadingWords } from "./called_as.ts";
import { configurationKey, type Option, type Options, refusal, type Values } from "./option.ts";

/** How a task presents itself in `--help`. */
export interface Presentation {
  /** The word after `deno task`. */
  readonly name: string;
  /** One line: what it does. */
  readonly summary: string;
  /** What a reader should know beyond that, one paragraph. */
  readonly description?: string;
  /** Complete commands, each with what it does. */
  readonly examples: readonly { readonly does: string; readonly command: string }[];
  /** What `--version` prints. */
  readonly version: string;
}

/** How to show `--help`. */
export interface HelpStyle {
  /** Whether to colour it. */
  readonly colors: boolean;
  /** Width in characters. */
  readonly width: number;
}

/** What the command line asked for: a page to print, or values by the options' names, only those given. */
export type CommandLine =
  | { readonly page: string }
  | { readonly given: Readonly<Record<string, unknown>> };

function valueParser(of: Option<unknown>): ValueParser<"sync", unknown> {
  return {
    mode: "sync",
    metavar: of.metavar as ValueParser["metavar"],
    placeholder: of.initial,
    parse(input) {
      const value = of.read(input);
      return value === undefined
        ? { success: false, error: message`${text(refusal(of, input))}` }
        : { success: true, value };
    },
    format: String,
    *suggest(prefix) {
      for (const word of of.choices) if (word.startsWith(prefix)) yield { kind: "literal", text: word };
      if (/FILE|DIR/.test(of.metavar)) {
        yield { kind: "file", type: of.metavar === "DIR" ? "directory" : "any", pattern: prefix };
      }
    },
  };
}

/** Where the parser puts `--no-NAME`. */
const off = (name: string) => `no ${name}`;

/** An option that was not given is undefined here; its default, which a file may change, is only shown. */
function parserOf(of: Option<unknown>): Parser<"sync", unknown, unknown> {
  const description = message`${text(of.required ? `${of.help} (required)` : of.help)}`;
  const duplicate = message`${text(`Option ${of.flag} can be given only once`)}`;
  if (of.json === "boolean") return optional(flag(of.flag, { description, errors: { duplicate } }));
  const invalidValue = (error: Message) => message`${text(`Option ${of.flag} `)}${error}`;
  const endOfInput = message`${text(`Option ${of.flag} needs a value: ${of.expected}`)}`;
  const settings = { description, errors: { invalidValue, endOfInput, duplicate } };
  if (of.json === "list") {
    return optional(multiple(option(of.flag, valueParser(of), settings), { min: 1 }));
  }
  const parser = of.short
    ? option(of.short, of.flag, valueParser(of), settings)
    : option(of.flag, valueParser(of), settings);
  if (of.initial === undefined) return optional(parser);
  return withDefault(parser, () => undefined, { message: message`${text(shown(of.initial))}` });
}

/** A default as a user would write it: 2e-5, not 0.00002. */
function shown(value: unknown): string {
  return typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3
    ? value.toExponential()
    : String(value);
}

/** A command over as many lines as it needs, which stays one command when it is pasted into a shell. */
function wrapCommand(command: string, width: number): string[] {
  const wrapped: string[] = [];
  let line = "";
  // A flag and its value stay together.
  for (const part of command.split(/ (?=-|\||>|(?:deno|bun|aft) )/)) {
    const longer = line === "" ? part : `${line} ${part}`;
    // Two columns before the line, two for the backslash behind it.
    if (line !== "" && longer.length + 4 > width) {
      wrapped.push(`  ${line} \\`);
      line = `  ${part}`;
    } else line = longer;
  }
  return [...wrapped, `  ${line}`];
}

function lines(...texts: readonly string[]): Message {
  return texts.flatMap((line, i) => i === 0 ? [text(line)] : [lineBreak(), text(line)]);
}

function unexpected(token: string, options: Options): Message {
  if (!token.startsWith("-") || token === "-") {
    return message`${text(`Unexpected argument ${JSON.stringify(token)}: expected options only`)}`;
  }
  const [name = token] = token.split("=");
  const known = [...Object.values(options).map((of) => of.flag), "--help", "--version", "--completion"];
  return message`${text(`Unknown option ${name}${suggestion(name, known)}`)}`;
}

function helpPage(name: string, page: DocPage, style: HelpStyle): string {
  // One list of options; the argument that completion scripts use is none of the reader's business.
  const entries = page.sections.toSorted((a, b) => Number(!a.title) - Number(!b.title))
    .flatMap((section) => section.entries)
    .filter((entry) => entry.term.type !== "argument");
  const text = formatDocPage(name, { ...page, sections: [{ title: "Options", entries }] }, {
    showUsage: false,
    showDefault: { prefix: " (default: ", suffix: ")" },
    maxWidth: style.width,
    termWidth: 26,
    colors: style.colors,
  });
  return text.replace(/ +$/gm, "").replace(/^( +--help +).*$/m, "$1Show this page")
    .replace(/^( +--version +).*$/m, "$1Show the version of this project and the runtime") + "\n";
}

/**
 * Reads the command line. Throws UsageError, with one line, for an unknown option (with a suggestion), a wrong or
 * missing value, and anything that is no option.
 */
export function parseCommandLine(
  args: readonly string[],
  options: Options,
  presentation: Presentation & HelpStyle,
): CommandLine {
  const parsers: Record<string, Parser<"sync", unknown, unknown>> = {};
  for (const [name, of] of Object.entries(options)) {
    parsers[name] = parserOf(of);
    if (of.json === "boolean") {
      parsers[off(name)] = optional(flag(`--no-${configurationKey(of)}`, { hidden: "help" }));
    }
  }
  const { name, summary, description, examples, version, colors, width } = presentation;
  const needed = Object.values(options).filter((of) => of.required).map((of) => ` ${of.flag} ${of.metavar}`);
  const usage = `Usage: ${leadingWords()} ${name}${needed.join("")} [OPTION...]`;
  let page = "";
  const errors = { unexpectedInput: (token: string) => unexpected(token, options), suggestions: () => [] };
  const given = runParser(object("Options", parsers, { errors }), name, args, {
    brief: message`${text(summary)}`,
    description: lines(usage, ...(description ? ["", description] : [])),
    // The page is indented by two columns.
    examples: lines(
      ...examples.flatMap(({ does, command }) => [`${does}:`, ...wrapCommand(asCalled(command), width - 2)]),
    ),
    showUsage: false,
    help: { option: true, onShow: (_code, help) => void (page = helpPage(name, help, { colors, width })) },
    version: { option: true, value: version, onShow: () => undefined },
    completion: { option: { hidden: "help" }, onShow: () => undefined },
    aboveError: "none",
    stdout: (part) => page += `${part}\n`,
    stderr: () => {},
    onError: (_code, error) => {
      const line = formatMessage(error, { colors: false, quotes: false });
      throw new UsageError(line.trim().replace(/\s*\n\s*/g, " ").replace(/\.$/, ""));
    },
  }) as Record<string, unknown> | undefined;
  if (given === undefined) return { page };
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(options)) {
    const value = given[off(name)] ? false : given[name];
    if (value !== undefined) values[name] = value;
  }
  return { given: values };
}

/**
 * Reads a configuration file: a JSON object of values by option name without the dashes (`"max-tokens": 64`), or
 * what `--dry-run` printed or a run directory keeps, whose `options` are such an object. `null` leaves an option
 * unset. Throws UsageError for an unknown key (with a suggestion) or a value out of range.
 */
export async function readConfiguration(path: string, options: Options): Promise<Record<string, unknown>> {
  const refuse = (why: string) => new UsageError(`Cannot read ${path}: ${why}`);
  const content = await readJson(path).catch((error) => {
    throw error instanceof InputError ? new UsageError(error.message, { cause: error }) : error;
  });
  const isRecord = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isRecord(content)) throw refuse("expected a JSON object of option values");
  const wanted = isRecord(content.options) && "task" in content ? content.options : content;
  const byKey = new Map(Object.entries(options).map(([name, of]) => [configurationKey(of), { name, of }]));
  const values: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const found = byKey.get(key);
    if (!found) throw refuse(`unknown key "${key}"${suggestion(key, [...byKey.keys()])}`);
    if (value === null) continue;
    const read = readValue(found.of, value);
    if (read === undefined) throw refuse(`"${key}" ${refusal(found.of, value, "file")}`);
    values[found.name] = read;
  }
  return values;
}

/** A value of a configuration file; undefined when it is none of the option's. */
function readValue(of: Option<unknown>, value: unknown): unknown {
  const type: string = typeof value;
  if (of.json !== "list") return type === of.json ? of.read(String(value)) : undefined;
  const right = Array.isArray(value) &&
    value.every((item) => typeof item === "string" && of.read(item) !== undefined);
  return right ? value : undefined;
}

/**
 * The values of all options: the command line's before the file's before the defaults. Throws UsageError when a
 * required one has none.
 */
export function resolve<O extends Options>(
  options: O,
  ...sources: readonly Readonly<Record<string, unknown>>[]
): Values<O> {
  const values = Object.entries(options).map(([name, of]) => {
    const source = sources.find((source) => source[name] !== undefined);
    return { name, of, value: source ? source[name] : of.initial };
  });
  const missing = values.filter(({ of, value }) => of.required && value === undefined)
    .map(({ of }) => `${of.flag} ${of.metavar}`);
  if (missing.length > 0) throw new UsageError(`Missing option ${missing.join(" and ")}: see --help`);
  return Object.freeze(Object.fromEntries(values.map(({ name, value }) => [name, value]))) as Values<O>;
}

/** The values by option name without the dashes, as a configuration file has them; null where there is none. */
export function toConfiguration(
  options: Options,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, of]) => [configurationKey(of), values[name] ?? null]),
  );
}
