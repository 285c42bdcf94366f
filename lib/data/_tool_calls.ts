/** Tools and their calls as others write them, brought into the form that chat templates take. */

import type { InputError } from "../runtime/errors.ts";
import type { ToolCall } from "./turn.ts";
import { describeValue } from "./where.ts";

/** Makes the error for a field and what is wrong with it. */
type Fail = (field: string, problem: string) => InputError;

type Fields = Readonly<Record<string, unknown>>;

/**
 * The calls of a message: `tool_calls`, as OpenAI has them (arguments as an object or as JSON) or as `{name, arguments}`
 * alone, or the older `function_call`. Undefined where there are none.
 *
 * @throws {InputError} for a call without a name, or arguments that are no JSON object
 */
export function readToolCalls(message: Fields, fail: Fail): ToolCall[] | undefined {
  const { tool_calls: calls, function_call: older } = message;
  if (older !== undefined && older !== null) return [readCall(older, "function_call", fail)];
  if (calls === undefined || calls === null) return undefined;
  if (!Array.isArray(calls)) throw fail("tool_calls", `must be a list: got ${describeValue(calls)}`);
  const read = calls.map((call, i) => readCall(call, `tool_calls[${i}]`, fail));
  return read.length > 0 ? read : undefined;
}

/** The calls in a text, as LLaMA-Factory's `function_call` turns have them: one `{name, arguments}` or a list of them. */
export function parseToolCalls(text: string, field: string, fail: Fail): ToolCall[] {
  const value = parsed(text);
  if (value === undefined) throw fail(field, `must be a call in JSON: got ${describeValue(text)}`);
  return (Array.isArray(value) ? value : [value]).map((call) => readCall(call, field, fail));
}

function readCall(value: unknown, field: string, fail: Fail): ToolCall {
  const call = isFields(value) ? value : {}, inner = isFields(call.function) ? call.function : call;
  const { name, arguments: given = inner.parameters ?? {} } = inner;
  if (typeof name !== "string" || name === "") throw fail(field, "must be a call of a function by its name");
  const values = typeof given === "string" ? parsed(given === "" ? "{}" : given) : given;
  if (!isFields(values)) {
    throw fail(`${field}.arguments`, `must be a JSON object: got ${describeValue(given)}`);
  }
  if (!isExact(values)) {
    throw fail(`${field}.arguments`, "must not have whole numbers beyond 2^53, which are not read exactly");
  }
  return {
    ...(typeof call.id === "string" && { id: call.id }),
    type: "function",
    function: { name, arguments: values },
  };
}

/**
 * What a record lets the assistant call: a list of functions, or the same as JSON; undefined where it names none.
 *
 * @throws {InputError} for anything else
 */
export function readTools(value: unknown, fail: Fail): Fields[] | undefined {
  const tools = typeof value === "string" ? parsed(value === "" ? "[]" : value) : value ?? [];
  if (!Array.isArray(tools)) throw fail("tools", `must be a list of functions: got ${describeValue(value)}`);
  const read = tools.map((tool: unknown, i) => {
    const described = isFields(tool) && (isFields(tool.function) ? tool.function : tool);
    if (!described || typeof described.name !== "string") {
      throw fail(`tools[${i}]`, `must be a function with a name: got ${describeValue(tool)}`);
    }
    return isFields((tool as Fields).function) ? tool as Fields : { type: "function", function: described };
  });
  return read.length > 0 ? read : undefined;
}

/** Whether all whole numbers in a value are what was written. */
function isExact(value: unknown): boolean {
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isExact);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
