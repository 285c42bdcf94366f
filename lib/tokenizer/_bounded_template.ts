/**
 * Templates that end: nested loops, ranges of billions and texts that double are refused after a fixed amount of work,
 * the same on every machine, some second at most.
 */

import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { printed, textFilters, textMethods } from "./_python_text.ts";

/**
 * Expressions evaluated, each 1,024 characters and 64 items that they give, and eight for each round of a loop, whose
 * `loop` alone is nine objects. Llama 3's template takes some hundred a turn.
 */
const MAX_WORK = 500_000, ROUND = 8;
/** Characters of a text, and items of a list. */
const MAX_LENGTH = 1 << 24, MAX_ITEMS = 1 << 16;
/** Characters of a template; the longest in use have some 10,000. */
const MAX_TEMPLATE = 1 << 20;

/** Parses a template. Throws Error for one that is wrong or of more than a MiB. */
export function parseTemplate(source: string): Template {
  if (source.length > MAX_TEMPLATE) {
    throw new Error(`it has ${source.length} characters, more than ${MAX_TEMPLATE}`);
  }
  return new Template(source);
}

/** Renders a template with variables, its clock standing at `date`. Throws Error when it fails, or takes too much. */
export function renderBounded(
  template: Template,
  variables: Readonly<Record<string, unknown>>,
  date: Date,
): string {
  const environment = new Environment();
  const globals = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range: boundedRange,
    strftime_now: (format: string) => formatDate(date, format),
    raise_exception: (message: string) => {
      throw new Error(message);
    },
  };
  for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
  const interpreter = new Interpreter(environment);
  const evaluate = asPython(interpreter);
  let work = 0;
  const spend = (steps: number) => {
    if ((work += steps) > MAX_WORK) throw new Error(`it takes more than ${MAX_WORK} steps`);
  };
  const gone = new WeakSet<object>(); // through by a loop
  interpreter.evaluate = (statement, scope) => {
    spend(1);
    const through = loopsThrough(statement as Node | undefined);
    if (through) gone.add(through);
    const result = evaluate(statement, scope), { value } = result as { value: unknown };
    if (typeof value === "string") {
      if (value.length > MAX_LENGTH) throw new Error(`it makes a text of more than ${MAX_LENGTH} characters`);
      spend(value.length >> 10);
    } else if (Array.isArray(value)) {
      if (value.length > MAX_ITEMS) throw new Error(`it makes a list of more than ${MAX_ITEMS} items`);
      spend(value.length >> 6);
    }
    if (statement !== undefined && gone.has(statement)) {
      spend(ROUND * (Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0));
    }
    return result;
  };
  return String(interpreter.run(template.parsed).value);
}

/** What a loop goes through, a condition behind it left out; undefined for anything else. */
function loopsThrough(statement: Node | undefined): object | undefined {
  if (statement?.type !== "For") return undefined;
  const { iterable } = statement as unknown as { readonly iterable: Node };
  return iterable.type === "SelectExpression" ? (iterable as unknown as { lhs: object }).lhs : iterable;
}

type Evaluate = Interpreter["evaluate"];
type Node = Parameters<Evaluate>[0] & Readonly<Record<string, unknown>>;

/** The interpreter's way to evaluate, with texts as Python has them; what it prints is changed in place. */
function asPython(interpreter: Interpreter): Evaluate {
  const evaluate = interpreter.evaluate.bind(interpreter);
  Object.assign(interpreter, {
    evaluateBlock(this: Interpreter, statements: readonly Node[], scope: Environment) {
      let text = "", made: ReturnType<Evaluate> | undefined;
      for (const statement of statements) {
        made = this.evaluate(statement, scope);
        // A statement gives nothing where an expression gives None.
        if (made.type !== "NullValue" || isExpression.test(statement.type)) text += printed(made);
      }
      return evaluate({ type: "StringLiteral", value: text } as unknown as Node, scope);
    },
  });
  return (statement, scope) => {
    const call = textCall(statement as Node);
    if (!call) return evaluate(statement, scope);
    const text = interpreter.evaluate(call.text, scope),
      signs = call.signs && interpreter.evaluate(call.signs, scope);
    if (text.type !== "StringValue") return evaluate(statement, scope);
    const value = call.change(
      text.value as string,
      signs?.type === "StringValue" ? signs.value as string : undefined,
    );
    return evaluate({ type: "StringLiteral", value } as unknown as Node, scope);
  };
}

const isExpression = /Expression$|Literal$|^Identifier$|^Ternary$/;

/** A call of a text's method or filter that the library has otherwise: what it is called on, and with. */
function textCall(statement: Node | undefined): {
  readonly text: Node;
  readonly signs?: Node | undefined;
  readonly change: (text: string, signs?: string) => string;
} | undefined {
  if (statement === undefined) return undefined; // a slice without a beginning
  const { type, callee, filter, operand } = statement as Readonly<Record<string, Node>> & {
    readonly type: string;
  };
  const [kind, called] = [type === "CallExpression", filter?.type === "CallExpression" ? filter : undefined];
  const named = (node: unknown) => String((node as Node | undefined)?.value);
  const signsOf = (args: unknown) => (args as Node[] | undefined)?.[0];
  if (kind && callee?.type === "MemberExpression" && callee.computed !== true) {
    const change = own(textMethods, named(callee.property));
    return change && { text: callee.object as Node, signs: signsOf(statement.args), change };
  }
  if (type !== "FilterExpression") return undefined;
  const change = own(textFilters, named(called ? called.callee : filter));
  return change && { text: operand!, signs: signsOf(called?.args), change };
}

function own<T>(of: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(of, name) ? of[name] : undefined;
}

/** Python's `range`, of at most {@linkcode MAX_ITEMS} numbers. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error("range() step must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MAX_ITEMS)) throw new Error(`range() asks for more than ${MAX_ITEMS} numbers`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's `strftime` in English, of a day at midnight UTC. */
function formatDate(date: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const month = MONTHS[date.getUTCMonth()]!, day = DAYS[date.getUTCDay()]!, year = date.getUTCFullYear();
  const parts: Record<string, string> = {
    Y: String(year),
    y: two(year % 100),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    e: String(date.getUTCDate()).padStart(2, " "),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: "00",
    M: "00",
    S: "00",
    "%": "%",
  };
  return format.replace(/%-?([YymdeBbAaHMS%])/g, (code, letter: string) => {
    const part = parts[letter] ?? code;
    return code.startsWith("%-") ? part.replace(/^[0 ](?=\d)/, "") : part;
  });
}
