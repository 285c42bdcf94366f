/**
 * Curves and texts for TensorBoard: `events.out.tfevents.aft` in a run directory, which `tensorboard --logdir runs` finds.
 * The records are messages in protocol buffers' encoding: `Event`, `Summary`, `TensorProto` of TensorFlow 2.
 */

import { type AppendFile, exists, openAppend, readBytes, remove, writeAtomic } from "../runtime/files.ts";
import { join } from "node:path";
import { frameRecord, readRecords } from "./_tf_record.ts";
import { type AnswerSample, type EvaluationLine, isEvaluationLine } from "./evaluation_figures.ts";
import type { Metrics } from "./metrics.ts";

/** No time and no host in the name: a run that goes on appends to the same file. */
const NAME = "events.out.tfevents.aft";

/** A run's file of events. */
export class EventFile {
  #file?: AppendFile;

  /** @param now the time in seconds since 1970 */
  constructor(readonly directory: string, readonly now: () => number = () => Date.now() / 1000) {}

  /** Adds every figure of a line of metrics as a scalar, an evaluation's answers as a text. */
  async add(line: Metrics | EvaluationLine): Promise<void> {
    if (!this.#file) {
      const path = join(this.directory, NAME), begun = await exists(path);
      this.#file = await openAppend(path);
      if (!begun) await this.#write(0, text(3, "brain.Event:2"));
    }
    const { step, steps: _, ...figures } = line, group = isEvaluationLine(line) ? "eval" : "train";
    const values: Bytes[] = [];
    for (const [name, value] of Object.entries(figures)) {
      if (typeof value === "number") values.push(scalar(`${group}/${name.replace(/^eval_/, "")}`, value));
    }
    if (isEvaluationLine(line) && line.eval_samples) values.push(samples("eval/answers", line.eval_samples));
    await this.#write(step, message(5, values.map((value) => message(1, [value]))));
  }

  async #write(step: number, content: Bytes): Promise<void> {
    const time = new Uint8Array(9);
    time[0] = 1 << 3 | 1;
    new DataView(time.buffer).setFloat64(1, this.now(), true);
    await this.#file!.write(frameRecord(joined([time, integer(2, step), content])));
  }

  /** Drops all events after a step: the run goes on from there. Below 0 the whole file goes. */
  async cut(step: number): Promise<void> {
    const path = join(this.directory, NAME);
    if (!await exists(path)) return;
    if (step < 0) return await remove(path);
    const file = joined(await Array.fromAsync(readBytes(path)));
    const kept = [...readRecords(file)].filter((event) => stepOf(event) <= step);
    await writeAtomic(path, async (sink) => {
      for (const event of kept) await sink.write(frameRecord(event));
    });
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#file?.close();
  }
}

type Bytes = Uint8Array;

/** `Summary.Value { tag = 1; simple_value = 2 }` */
function scalar(tag: string, value: number): Bytes {
  const number = new Uint8Array(5);
  number[0] = 2 << 3 | 5;
  new DataView(number.buffer).setFloat32(1, value, true);
  return joined([text(1, tag), number]);
}

/**
 * A text in Markdown: `Summary.Value { tag = 1; metadata = 9 { plugin_data = 1 { plugin_name = 1 } data_class = 4 };
 * tensor = 8 { dtype = 1: DT_STRING; tensor_shape = 2; string_val = 8 } }`
 */
function samples(tag: string, answers: readonly AnswerSample[]): Bytes {
  const quoted = (words: string) => words.trim().replace(/^/gm, "    ");
  const markdown = answers.map(({ question, response, correct }) =>
    `${question.trim()}\n\n${quoted(response)}\n\n${correct ? "right" : "wrong"}`
  ).join("\n\n---\n\n");
  const metadata = message(9, [message(1, [text(1, "text")]), integer(4, 2)]);
  const tensor = message(8, [integer(1, 7), message(2, []), text(8, markdown)]);
  return joined([text(1, tag), metadata, tensor]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 | 128);
  return [...bytes, rest];
}

function integer(field: number, value: number): Bytes {
  return Uint8Array.from([field << 3, ...varint(value)]);
}

function message(field: number, parts: readonly Bytes[]): Bytes {
  const content = joined(parts);
  return joined([Uint8Array.from([field << 3 | 2, ...varint(content.length)]), content]);
}

function text(field: number, words: string): Bytes {
  return message(field, [new TextEncoder().encode(words)]);
}

function joined(parts: readonly Bytes[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Field 2 of an event as it is written above: behind its time. */
function stepOf(event: Uint8Array): number {
  let step = 0;
  for (let at = 10, scale = 1;; at++, scale *= 128) {
    step += (event[at] & 127) * scale;
    if (event[at] < 128) return step;
  }
}
