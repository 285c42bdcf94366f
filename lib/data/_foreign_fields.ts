/** Fields that other tools' records have beside a known shape, and that change what it means. */

import { InputError } from "../runtime/errors.ts";
import { describeValue, describeWhere, type Where } from "./where.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What the question is about, by the names that data sets give it: SQuAD's and Dolly's, BoolQ's, RACE's, ASDiv's. */
const PASSAGES = ["context", "passage", "article", "body"];
/** Right answers under other names than `answer`: verl's, OpenR1's, OpenAI's and others'. */
const ANSWERS = ["ground_truth", "expected_answer", "final_answer", "reference_answer"];
/** What a model of text does not see. */
const PICTURES = ["image", "images", "video", "videos", "audio", "audios"];

/**
 * The record with these fields under the names that mean the same here. A record that brings its exact `prompt` as a text
 * keeps it: only its labels and answers are read.
 *
 * @throws {InputError} for pictures and sounds, which would be lost, and labels that do not fit
 */
export function readForeignFields(record: Fields, where: Where): Fields {
  const refuse = (field: string, problem: string) =>
    new InputError(`Cannot read ${describeWhere(where)}: field "${field}" ${problem}`);
  const picture = PICTURES.find((name) => !isEmpty(record[name]));
  if (picture !== undefined) throw refuse(picture, "is not read: the model would not see what it holds");
  const fields: Record<string, unknown> = { ...record };
  const move = (from: string, to: string, value: unknown = fields[from]) => {
    delete fields[from];
    fields[to] = value;
  };
  if (!isEmpty(fields.kto_tag) && fields.label === undefined) {
    const tag = String(fields.kto_tag).toLowerCase(), right = ["true", "1"].includes(tag);
    if (!right && !["false", "0"].includes(tag)) {
      throw refuse("kto_tag", `must be true or false: got ${describeValue(fields.kto_tag)}`);
    }
    move("kto_tag", "label", right);
  }
  const answer = ANSWERS.find((name) => isAnswer(fields[name]));
  if (fields.answer === undefined && answer !== undefined) move(answer, "answer");
  const rule = fields.reward_model;
  if (fields.answer === undefined && isObject(rule) && isAnswer(rule.ground_truth)) {
    fields.answer = rule.ground_truth;
  }
  const { options, responses, labels } = fields;
  if (fields.choices === undefined && fields.answer !== undefined) {
    const choices = isObject(options) ? Object.values(options) : options;
    if (Array.isArray(choices) && choices.length > 1 && choices.every(isAnswer)) {
      move("options", "choices", withoutLetters(choices.map(String)));
    }
  }
  if (Array.isArray(responses) && Array.isArray(labels)) {
    if (labels.length !== responses.length) {
      throw refuse(
        "labels",
        `must have one label for each of ${responses.length} responses: got ${labels.length}`,
      );
    }
    const wrong = labels.findIndex((label) => ![true, false, 1, 0].includes(label));
    if (wrong >= 0) {
      throw refuse(`labels[${wrong}]`, `must be true or false: got ${describeValue(labels[wrong])}`);
    }
  }
  if (typeof fields.prompt !== "string") readPassage(fields);
  return fields;
}

/** Puts a passage before the question; Alpaca's instruction has it as its input. */
function readPassage(fields: Record<string, unknown>): void {
  const name = PASSAGES.find((name) => typeof fields[name] === "string" && fields[name] !== "");
  if (name === undefined) return;
  const passage = fields[name] as string;
  if (typeof fields.question === "string") {
    fields.question = name === "body" ? `${passage} ${fields.question}` : `${passage}\n\n${fields.question}`;
  } else if (typeof fields.instruction === "string" && isEmpty(fields.input)) fields.input = passage;
  else return;
  delete fields[name];
}

/** Texts of options without the letters that number them, where all are numbered. */
function withoutLetters(options: readonly string[]): readonly string[] {
  const parts = options.map((option) => option.match(/^\s*\(?([A-Z])[).:]\s*(\S[^]*)$/));
  const numbered = parts.every((part, i) => part?.[1] === String.fromCharCode(65 + i));
  return numbered ? parts.map((part) => part![2]!) : options;
}

function isAnswer(value: unknown): value is string | number {
  return typeof value === "string" && value !== "" || typeof value === "number";
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || Array.isArray(value) && value.length === 0;
}
