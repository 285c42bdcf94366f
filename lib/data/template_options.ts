/** What a person says to a chat template: its variables and its date, checked before anything is rendered. */

import { checkNames } from "../runtime/check_names.ts";
import { UsageError } from "../runtime/errors.ts";
import { promptNames, type PromptOptions } from "./prompts.ts";

/** Variables that a template is given anyway. */
const GIVEN = new Set([
  ...["messages", "tools", "add_generation_prompt", "strftime_now", "raise_exception", "range"],
  ...["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"],
]);

/**
 * Refuses options of prompts that have no meaning.
 *
 * @param of what has the options: "train"
 * @throws {UsageError} for an unknown name, variables that are no object or are given anyway, and a date that is none
 */
export function checkPrompt(prompt: PromptOptions = {}, of: string): void {
  checkNames(prompt, promptNames, { of, within: "prompt" });
  const { templateVariables: variables, templateDate: date } = prompt;
  if (variables !== undefined) checkVariables(variables);
  if (date !== undefined && !isDay(date)) {
    throw new UsageError(
      `Cannot use option \`templateDate\`: it must be a day, such as 2024-07-26: got ${
        JSON.stringify(date) ?? typeof date
      }`,
    );
  }
}

/**
 * Variables of a template in JSON: `{"enable_thinking": false}`.
 *
 * @throws {UsageError} for anything but an object, and for names that the template is given anyway
 */
export function parseTemplateVariables(text: string): Readonly<Record<string, unknown>> {
  let variables: unknown;
  try {
    variables = JSON.parse(text);
  } catch {
    variables = undefined;
  }
  return checkVariables(variables, text);
}

function checkVariables(variables: unknown, text?: string): Readonly<Record<string, unknown>> {
  if (typeof variables !== "object" || variables === null || Array.isArray(variables)) {
    throw new UsageError(
      'Cannot use option `templateVariables`: it must be an object in JSON, such as {"enable_thinking": false}: got ' +
        (text?.trim() === "" ? "nothing" : text ?? JSON.stringify(variables) ?? typeof variables),
    );
  }
  const given = Object.keys(variables).find((name) => GIVEN.has(name));
  if (given !== undefined) {
    throw new UsageError(
      `Cannot use option \`templateVariables\`: it must not name ${given}: the template is given it anyway`,
    );
  }
  const odd = Object.keys(variables).find((name) => !/^[A-Za-z_]\w*$/.test(name));
  if (odd === undefined) return variables as Readonly<Record<string, unknown>>;
  throw new UsageError(
    `Cannot use option \`templateVariables\`: it must name variables of a template: got ${
      JSON.stringify(odd)
    }`,
  );
}

/** Whether a text is a day of the calendar, `YYYY-MM-DD`. */
export function isDay(date: unknown): boolean {
  if (typeof date !== "string" || !/^\d{4}-\d\d-\d\d$/.test(date)) return false;
  const time = Date.parse(`${date}T00:00:00Z`); // NaN for the 45th; the 30th of February becomes March
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(date);
}
