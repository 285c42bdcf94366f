/** TensorBoard's events, read back by a reader of its own, written here from the format. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../../lib/model/load_model.ts";
import { greedyAnswers } from "../../lib/pipeline/greedy_answers.ts";
import { crc32c } from "../../lib/train/_tf_record.ts";
import { train } from "../../lib/train/trainer.ts";
import { collect, freshPath, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";

/** CRC-32C by the book, a bit at a time over the reversed polynomial 0x1EDC6F41. */
function slowCrc(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const one = (crc ^ BigInt(byte >> bit)) & 1n;
      crc = (crc >> 1n) ^ (one * 0x82f63b78n);
    }
  }
  return Number(crc ^ 0xffffffffn);
}

function unmasked(value: number): number {
  const rotated = (value - 0xa282ead8) >>> 0;
  return (rotated << 15 | rotated >>> 17) >>> 0;
}

type Field = { readonly field: number; readonly value: number | Uint8Array };

/** The fields of a message, by wire type: varint, 64 bits, bytes, 32 bits. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n, shift = 0n;
    for (;; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = varint(), field = key >> 3;
    if ((key & 7) === 0) fields.push({ field, value: varint() });
    else if ((key & 7) === 1) fields.push({ field, value: view.getFloat64((at += 8) - 8, true) });
    else if ((key & 7) === 5) fields.push({ field, value: view.getFloat32((at += 4) - 4, true) });
    else {
      assert.equal(key & 7, 2, "wire type");
      const length = varint();
      fields.push({ field, value: bytes.subarray(at, at += length) });
    }
  }
  assert.equal(at, bytes.length);
  return fields;
}

interface Event {
  readonly time: number;
  readonly step: number;
  readonly version?: string;
  readonly scalars: Record<string, number>;
  readonly texts: Record<string, string>;
}

const utf8 = (value: number | Uint8Array) =>
  new TextDecoder("utf-8", { fatal: true }).decode(value as Uint8Array);
const within = (fields: Field[], field: number) =>
  fields.filter((f) => f.field === field).map((f) => f.value);

function eventsOf(file: Uint8Array): Event[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength), events: Event[] = [];
  let at = 0;
  while (at < file.length) {
    const length = Number(view.getBigUint64(at, true)), content = file.subarray(at + 12, at + 12 + length);
    assert.equal(unmasked(view.getUint32(at + 8, true)), slowCrc(file.subarray(at, at + 8)), "of the length");
    assert.equal(unmasked(view.getUint32(at + 12 + length, true)), slowCrc(content), "of the record");
    at += 16 + length;
    const fields = fieldsOf(content),
      scalars: Record<string, number> = {},
      texts: Record<string, string> = {};
    for (const value of within(fields, 5).flatMap((summary) => within(fieldsOf(summary as Uint8Array), 1))) {
      const parts = fieldsOf(value as Uint8Array), tag = utf8(within(parts, 1)[0]);
      const [simple] = within(parts, 2), [tensor] = within(parts, 8), [metadata] = within(parts, 9);
      if (simple !== undefined) scalars[tag] = simple as number;
      if (tensor === undefined) continue;
      const plugin = within(fieldsOf(within(fieldsOf(metadata as Uint8Array), 1)[0] as Uint8Array), 1)[0];
      assert.equal(utf8(plugin), "text");
      const inside = fieldsOf(tensor as Uint8Array);
      assert.deepEqual(within(inside, 1), [7], "DT_STRING");
      assert.equal((within(inside, 2)[0] as Uint8Array).length, 0, "no dimension");
      texts[tag] = utf8(within(inside, 8)[0]);
    }
    const [version] = within(fields, 3);
    events.push({
      time: within(fields, 1)[0] as number,
      step: within(fields, 2)[0] as number,
      ...(version !== undefined && { version: utf8(version) }),
      scalars,
      texts,
    });
  }
  return events;
}

test("CRC-32C gives the vectors of RFC 3720 and the check value of the catalogue", () => {
  const bytes = (make: (i: number) => number) => Uint8Array.from({ length: 32 }, (_, i) => make(i));
  const vectors: [Uint8Array, number][] = [
    [bytes(() => 0), 0x8a9136aa],
    [bytes(() => 0xff), 0x62a8ab43],
    [bytes((i) => i), 0x46dd794e],
    [bytes((i) => 31 - i), 0x113fdb5c],
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(0), 0],
  ];
  for (const [content, expected] of vectors) {
    assert.equal(crc32c(content), expected);
    assert.equal(slowCrc(content), expected);
  }
});

test("a run's events hold its figures and answers; a run that goes on appends to them where it was cut", async () => {
  const directory = await writeSmallModel(), out = freshPath(), stop = new AbortController();
  const options = (signal?: AbortSignal) => ({
    objective: "vft",
    steps: 6,
    batchSize: 2,
    saveEvery: 2,
    logEvery: 1,
    tensorboard: true,
    out,
    signal,
    evaluation: { share: 0.4, every: 3, answers: greedyAnswers(2, { maxTokens: 4 }) },
  });
  const records = toyProblems(15).map((problem, i) => ({
    ...problem,
    question: `${problem.question} “ü” ${i}`,
  }));
  using cut = await loadModel(directory, { backend: "wasm" });
  await assert.rejects(async () => {
    for await (const { step } of train(cut, records, options(stop.signal))) {
      if (step === 5) stop.abort(new Error("Enough"));
    }
  }, /Enough/);
  const names = () => readdirSync(out).filter((name) => name.includes("tfevents"));
  assert.deepEqual(names(), ["events.out.tfevents.aft"]);
  const path = join(out, names()[0]), before = eventsOf(readFileSync(path));
  assert.deepEqual(before.map(({ step }) => step), [0, 0, 1, 2, 3, 3, 4, 5]);
  appendFileSync(path, new Uint8Array([9, 0, 0, 0, 0])); // what a kill cut short
  using model = await loadModel(directory, { backend: "wasm" });
  await collect(train(model, records, { ...options(), resume: true }));
  const events = eventsOf(readFileSync(path));
  assert.deepEqual(events.map(({ step }) => step), [0, 0, 1, 2, 3, 3, 4, 5, 6, 6]);
  assert.deepEqual(events.slice(0, 7), before.slice(0, 7), "up to the checkpoint nothing changes");
  assert.equal(events[0].version, "brain.Event:2");
  assert.ok(events.every(({ time }, i) => time > 1.7e9 && (i === 0 || time >= events[i - 1].time)));
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.equal(lines.length, events.length - 1);
  for (const [i, { step, steps: _, eval_samples: samples, ...figures }] of lines.entries()) {
    const { scalars, texts } = events[i + 1];
    const group = "eval_loss" in figures ? "eval" : "train";
    assert.equal(events[i + 1].step, step);
    assert.deepEqual(
      scalars,
      Object.fromEntries(
        Object.entries(figures).map((
          [name, value],
        ) => [`${group}/${name.replace("eval_", "")}`, Math.fround(value as number)]),
      ),
    );
    assert.equal(samples === undefined, texts["eval/answers"] === undefined);
    for (const { question } of samples ?? []) assert.ok(texts["eval/answers"].includes(question));
  }
  // Started anew, or without events.
  using again = await loadModel(directory, { backend: "wasm" });
  await collect(train(again, records, { ...options(), overwrite: true, tensorboard: false }));
  assert.ok(!existsSync(path));
});
