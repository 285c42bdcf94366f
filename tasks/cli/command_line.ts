/**
 * From the command line and the configuration file to the values of a task's options.
 */

import { runParser } from "@optique/core/facade";
import { object } from "@optique/core/constructs";
import { type DocEntry, type DocPage, formatDocPage } from "@optique/core/doc";
import { formatMessage, lineBreak, type Message, message, text } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { argument, flag, option } from "@optique/core/primitives";
import { string, type ValueParser } from "@optique/core/valueparser";
import { UsageError } from "../../lib/runtime/errors.ts";
import { suggestion } from "../../lib/runtime/suggestion.ts";
import { asCalled, leadingWords } from "./called_as.ts";
import { elsewhere } from "./foreign_words.ts";
import { inGroups } from "./help_groups.ts";
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
  /** What the words behind the options are, where a task takes some. */
  readonly words?: Words;
  /** What `--version` prints. */
  readonly version: string;
}

/** The words that a task takes beside its options. */
export interface Words {
  /** What stands for them in `--help`: "NAME". */
  readonly metavar: string;
  /** What they are, for `--help`. */
  readonly help: string;
  /** Fewest and most of them (default 0, any number). */
  readonly min?: number;
  readonly max?: number;
  /** Words to complete to, where some are known. */
  readonly choices?: readonly string[];
}

/** How to show `--help`. */
export interface HelpStyle {
  /** Whether to colour it. */
  readonly colors: boolean;
  /** Width in characters. */
  readonly width: number;
}

/** The task that a page of help is of. */
interface PageOf {
  readonly name: string;
  readonly options: Options;
}

/** What the command line asked for: a page to print, or values by the options' names, only those given. */
export type CommandLine =
  | { readonly page: string }
  | { readonly given: Readonly<Record<string, unknown>>; readonly words: readonly string[] };

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

/** Where it puts the words beside the options. */
const wordsName = "words beside options";

/** An option that was not given is undefined here; its default, which a file may change, is only shown. */
function parserOf(of: Option<unknown>): Parser<"sync", unknown, unknown> {
  const description = message`${text(of.required ? `${of.help} (required)` : of.help)}`;
  const duplicate = message`${text(`Option ${of.flag} can be given only once`)}`;
  if (of.json === "boolean") {
    // Help shows the word that changes something.
    const hidden = of.initial === true ? { hidden: "help" as const } : {};
    return optional(flag(of.flag, { description, errors: { duplicate }, ...hidden }));
  }
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
  return message`${text(`Unknown option ${name}${elsewhere(token, options) ?? suggestion(name, known)}`)}`;
}

function helpPage(page: DocPage, { name, options, ...style }: HelpStyle & PageOf): string {
  const headings = new Map<string, string | undefined>(
    Object.values(options).map(({ flag, heading }) => [flag, heading]),
  );
  // The arguments (words of a task, those of completion scripts) stand in the usage, or are none of the reader's business.
  const named = page.sections.toSorted((a, b) => Number(!a.title) - Number(!b.title))
    .flatMap((section) => section.entries).flatMap((entry) =>
      entry.term.type === "option"
        ? [{
          entry: described(entry, entry.term.names),
          flags: entry.term.names,
          heading: headings.get(entry.term.names.at(-1)!),
        }]
        : []
    );
  const text = formatDocPage(name, { ...page, sections: inGroups(named) }, {
    showUsage: false,
    showDefault: { prefix: " (default: ", suffix: ")" },
    maxWidth: style.width,
    termWidth: Math.min(26, style.width >> 1),
    colors: style.colors,
  });
  return text.replace(/ +$/gm, "") + "\n";
}

/** What the parser's own options do, in our words. */
function described(entry: DocEntry, flags: readonly string[]): DocEntry {
  if (flags.includes("--help")) return { ...entry, description: message`${text("Show this page")}` };
  if (!flags.includes("--version")) return entry;
  return { ...entry, description: message`${text("Show the version of this project and the runtime")}` };
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
      const shown = of.initial === true
        ? { description: message`${text(of.help)}` }
        : { hidden: "help" as const };
      parsers[off(name)] = optional(flag(`--no-${configurationKey(of)}`, shown));
    }
  }
  const { name, summary, description, examples, version, colors, width, words } = presentation;
  if (words) {
    const description = message`${text(words.help)}`;
    const { choices = [], metavar } = words;
    const word = argument({
      ...string({ metavar: metavar as "WORD" }),
      *suggest(prefix: string) {
        for (const choice of choices) {
          if (choice.startsWith(prefix)) yield { kind: "literal" as const, text: choice };
        }
        if (/FILE|DIR/.test(metavar)) yield { kind: "file" as const, type: "any" as const, pattern: prefix };
      },
    }, { description });
    parsers[wordsName] = multiple(word, { min: 0 }) as unknown as Parser<"sync", unknown, unknown>;
  }
  const needed = Object.values(options).filter((of) => of.required).map((of) => ` ${of.flag} ${of.metavar}`);
  const own = words ? (words.min ?? 0) > 0 ? ` ${words.metavar}` : ` [${words.metavar}]` : "";
  const usage = `Usage: ${leadingWords()} ${name}${needed.join("")}${own} [OPTION...]`;
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
    help: {
      option: { names: ["-h", "--help"] },
      onShow: (_code, help) => void (page = helpPage(help, { name, options, colors, width })),
    },
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
  const found = (given[wordsName] ?? []) as readonly string[];
  if (words && found.length < (words.min ?? 0)) throw new UsageError(`Missing ${words.metavar}: see --help`);
  if (words && found.length > (words.max ?? Infinity)) {
    throw new UsageError(
      `Unexpected argument ${JSON.stringify(found[words.max!])}: expected one ${words.metavar}`,
    );
  }
  return { given: values, words: found };
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
