/**
 * From a problem to the text that the model sees, and from a response to the form in which it is trained on.
 *
 * The boundary between prompt and response is clean for every usual tokenizer: a prompt ends in a character that is
 * not white space, and a response starts with one space. Byte-level BPE (GPT-2, LLaMA 3, Qwen) joins a space with
 * the word after it, never with the colon before it, and a SentencePiece model writes it as the word's own `▁`; a
 * line feed would be joined with the colon before it (`:\n` is one token in LLaMA 3), and the ids of prompt and
 * response apart would differ from the ids of both together.
 */

import type { NamesOf } from "../runtime/check_names.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { splitMark } from "./_statements.ts";
import { type AnswerKind, answerKind, answersEqual } from "./answers.ts";
import { stripCalculator } from "./equations.ts";
import type { Candidate, Problem } from "./records.ts";
import type { Turn } from "./turn.ts";

/** Template of a problem with a free answer. */
export const questionTemplate = "Question: {question}\nAnswer:";
/** Template of a problem with options. */
export const optionsTemplate = "Question: {question}\nOptions:\n{choices}\nAnswer:";
/** Last line of a response, GSM8K's: numbers and texts. */
export const markedEnding = "#### {answer}";
/** Last line of a response that chooses an option. */
export const optionEnding = "The answer is {answer}.";

/** How a prompt is made. */
export interface PromptOptions {
  /** Text with `{field}` for the problem's fields; `{{` and `}}` are braces (default: by choices or none). */
  readonly template?: string | undefined;
  /** Instructions before everything else; the problem's own `system` goes first (default none). */
  readonly system?: string | undefined;
  /** Solved problems, shown with their references before the question (default none). */
  readonly fewShot?: readonly Problem[];
  /**
   * Whether the tokenizer's chat template makes the prompt: `auto` (default) when it has one, unless `template` is given
   * or the record brings its exact prompt; `always`; `never`. The same in training, sampling and scoring.
   */
  readonly chat?: "auto" | "always" | "never" | undefined;
  /** Further variables of the chat template, such as `{ enable_thinking: false }` (default none). */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
  /** The day on which the chat template finds itself, `YYYY-MM-DD` (default 2024-07-26, whatever the clock says). */
  readonly templateDate?: string;
}

/** Their names, for checks of options that hold them. */
export const promptNames: NamesOf<PromptOptions> = {
  template: true,
  system: true,
  fewShot: true,
  chat: true,
  templateVariables: true,
  templateDate: true,
};

/**
 * The prompt of a problem: system text, examples, what was said before and question, with an empty line between. A problem's own `prompt`
 * replaces its template. Throws UsageError for a template that is not one, InputError for a field that the problem
 * lacks or an example without reference.
 *
 * ```ts
 * import { renderPrompt } from "./lib/data/mod.ts";
 *
 * console.log(renderPrompt({ id: "sum", question: "2 + 3?" }, { template: "Q: {question}\nA:" }));
 * ```
 */
export function renderPrompt(problem: Problem, options: PromptOptions = {}): string {
  const { template, fewShot = [] } = options;
  const system = problem.system ?? options.system;
  const tools = toolFieldOf(problem);
  if (tools !== undefined) {
    throw new InputError(
      `Cannot render the prompt of "${problem.id}": field "${tools}" is about tools, which a chat template alone can ` +
        "write: the model has none, or options make prompts plain text",
    );
  }
  const examples = fewShot.map((example) => {
    if (example.reference === undefined) {
      throw new InputError(
        `Cannot use problem "${example.id}" as an example: field "reference" must be a string: got nothing`,
      );
    }
    return renderQuestion(example, template) + renderResponse(example.reference);
  });
  const earlier = (problem.earlier ?? []).map(({ role, content }) =>
    role === "user" ? "\n\n" + renderQuestion(asked(problem, content), template) : renderResponse(content)
  ).join("").slice(2);
  return [
    ...(system ? [system] : []),
    ...examples,
    ...(earlier === "" ? [] : [earlier]),
    renderQuestion(problem, template),
  ].join("\n\n");
}

/** The field in which a problem has tools, their calls or what they answered. */
export function toolFieldOf(problem: Problem): string | undefined {
  const { tools, earlier = [], between = [], reference_tool_calls: calls } = problem;
  if (isToolList(tools)) return "tools";
  const odd = ({ role, tool_calls: called }: Turn) => role === "tool" || called !== undefined;
  if (earlier.some(odd)) return "earlier";
  if (between.length > 0) return "between";
  return calls === undefined ? undefined : "reference_tool_calls";
}

/** Whether a record's `tools` are functions that an assistant may call; to others it may mean anything. */
export function isToolList(tools: unknown): tools is readonly object[] {
  return Array.isArray(tools) && tools.length > 0 &&
    tools.every((tool) => typeof tool?.function?.name === "string");
}

/** An earlier question of a conversation, as a problem of its own. */
export function asked(problem: Problem, question: string): Problem {
  const { prompt: _, choices: __, earlier: ___, between: ____, ...rest } = problem;
  return { ...rest, question };
}

/** The question alone, without system text and examples: what a chat template takes as the user's message. */
export function renderQuestion(problem: Problem, template?: string): string {
  if (problem.prompt !== undefined) return problem.prompt;
  const chosen = template ?? (problem.choices ? optionsTemplate : questionTemplate);
  return chosen.replace(/\{\{|\}\}|\{(\w+)\}|[{}]/g, (brace, name?: string) => {
    if (brace === "{{" || brace === "}}") return brace[0];
    if (name === undefined) {
      throw new UsageError(
        `Template must have a field name in braces, or double braces: got "${brace}" in ${
          JSON.stringify(chosen)
        }`,
      );
    }
    if (name === "choices" && problem.choices) return renderChoices(problem.choices);
    const field = problem[name];
    if (typeof field === "string" || typeof field === "number") return String(field);
    throw new InputError(
      `Cannot render the prompt of "${problem.id}": its template asks for the field "${name}", which it lacks`,
    );
  });
}

/** The fields that a template asks for. */
export function templateFields(template = ""): string[] {
  return [...template.matchAll(/\{\{|\}\}|\{(\w+)\}/g)].flatMap(([, name]) => name ?? []);
}

/** The options as lines `A) …`. */
export function renderChoices(choices: readonly string[]): string {
  return choices.map((choice, i) => `${String.fromCharCode(65 + i)}) ${choice}`).join("\n");
}

/**
 * A response as it follows a prompt: with one space in front, unless it starts with white space. A chat template ends
 * its prompt by itself; there the response stays as it is.
 */
export function renderResponse(text: string): string {
  return /^\s/.test(text) ? text : ` ${text}`;
}

/** A generated response as records hold it: `renderResponse` undone. */
export function responseText(generated: string): string {
  return /^ \S/.test(generated) ? generated.slice(1) : generated;
}

/** The last line that a kind of answer has here. */
export function endingFor(kind: AnswerKind): string {
  return kind === "option" ? optionEnding : markedEnding;
}

/** How a response should end. */
export interface EndingOptions {
  /** Its last line, with `{answer}` (default `#### {answer}`). */
  readonly ending?: string;
  /** The options' texts: a statement of the right option's text is one of its letter. */
  readonly choices?: readonly string[] | undefined;
}

/**
 * The response with its answer stated in one form, so that no loss can tell sources by their format. Without an answer
 * (null: none was found, or the response broke off) the text stays.
 *
 * Only what is understood is rewritten, and no word of the chain is lost: a last line that states this answer and nothing
 * else (`A: 18 dollars`, `The answer is (B).`) is replaced; of one that says more or another thing (`A: 5 + 3 = 8`) the
 * mark goes, its words stay and the answer is added; to any other text it is added.
 */
export function normalizeEnding(text: string, answer: string | null, options: EndingOptions = {}): string {
  if (answer === null) return text;
  const stated = (options.ending ?? markedEnding).replace("{answer}", () => answer);
  const chain = text.trimEnd();
  if (chain.endsWith(stated) && (chain.length === stated.length || chain.at(-stated.length - 1) === "\n")) {
    return chain;
  }
  const last = chain.lastIndexOf("\n") + 1, line = splitMark(chain.slice(last));
  const choice = /^[A-Z]$/.test(answer) ? options.choices?.[answer.charCodeAt(0) - 65] : undefined;
  const same = line?.only === true &&
    (answersEqual(line.answer, answer) || choice !== undefined && answersEqual(line.answer, choice));
  const body = (chain.slice(0, last) + (same ? "" : line?.rest ?? chain.slice(last))).trimEnd();
  return body === "" ? stated : `${body}\n${stated}`;
}

/** How responses are brought into one form. */
export interface ResponseOptions extends EndingOptions {
  /** Whether calculator marks stay (default "keep"). */
  readonly calculator?: "keep" | "drop";
  /** Whether answers are stated in one form (default "normalize"). */
  readonly endings?: "keep" | "normalize";
}

/**
 * The problem with its reference and candidates in one form: endings normalized (by its kind of answer, or as the
 * option says) or kept, calculator marks kept or dropped. A candidate ends in its own answer, not the problem's; one without
 * an `answer` field, or cut off by length, keeps its text.
 */
export function normalizeResponses<P extends Problem>(problem: P, options: ResponseOptions = {}): P {
  const { calculator = "keep", endings = "normalize", ending = endingFor(answerKind(problem)) } = options;
  const change = (text: string, answer: string | null) => {
    const ended = endings === "keep"
      ? text
      : normalizeEnding(text, answer, { ending, choices: problem.choices });
    return calculator === "drop" ? stripCalculator(ended) : ended;
  };
  const candidate = (one: Candidate): Candidate => ({
    ...one,
    text: change(one.text, one.finish === "length" ? null : one.answer ?? null),
  });
  return {
    ...problem,
    ...(problem.reference !== undefined && { reference: change(problem.reference, problem.answer ?? null) }),
    ...(problem.candidates && { candidates: problem.candidates.map(candidate) }),
  };
}
