import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { narrow, widen } from "../../lib/runtime/float_bytes.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "safetensors-test-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "model.safetensors");

/** A file made by hand: a header as text or as an object, and bytes after it. */
function file(header: unknown, bytes = 0, length?: bigint): void {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  writeFileSync(path, new Uint8Array([...prefix, ...json, ...new Uint8Array(bytes)]));
}

async function refused(message: string): Promise<void> {
  await assert.rejects(openSafetensors(path), (error: Error) => {
    assert.ok(error instanceof InputError, `${error}`);
    assert.equal(error.message, `Cannot read ${path}: ${message}`);
    return true;
  });
}

const entry = (dtype: string, shape: number[], data_offsets: number[]) => ({ dtype, shape, data_offsets });

test("headers that the format does not allow are refused in one line", async () => {
  writeFileSync(path, new Uint8Array(5));
  await refused("expected a safetensors file: it ends at byte 5");
  file("{}", 0, 3n);
  await refused("header length must be at most the file's 2 further bytes: got 3");
  file("{}", 0, 2n ** 63n);
  await refused(`header length must be at most 100000000 bytes: got ${2n ** 63n}`);
  file("{nonsense");
  await refused("expected a safetensors file: its header is not JSON");
  file("[1]");
  await refused("expected a safetensors file: its header is not a JSON object");
  file({ __metadata__: { format: 1 } });
  await refused("header's __metadata__ must be an object of strings");
  file({ a: entry("F33", [1], [0, 4]) }, 4);
  await refused('tensor "a" has an unknown dtype: got "F33"');
  file({ a: entry("toString", [1], [0, 4]) }, 4);
  await refused('tensor "a" has an unknown dtype: got "toString"');
  file({ a: entry("F32", [-1], [0, 4]) }, 4);
  await refused('tensor "a" must have a shape of sizes: got [-1]');
  file({ a: entry("F32", [1], [4, 0]) }, 4);
  await refused('tensor "a" must have data_offsets [begin, end]: got [4,0]');
  file({ a: entry("F32", [3], [0, 8]) }, 8);
  await refused('tensor "a" of shape [3] and dtype F32 must have 12 bytes: got 8');
  file({ a: entry("F32", [2], [0, 8]), b: entry("F32", [2], [4, 12]) }, 12);
  await refused('tensor "b" overlaps another: it begins at byte 4, expected 8');
  file({ a: entry("F32", [1], [0, 4]), b: entry("F32", [1], [8, 12]) }, 12);
  await refused('tensor "b" leaves a hole: it begins at byte 8, expected 4');
  file({ a: entry("F32", [2], [0, 8]) }, 7);
  await refused("expected 8 bytes of tensors after the header: got 7");
  file({ a: entry("F32", [2], [0, 8]) }, 9);
  await refused("expected 8 bytes of tensors after the header: got 9");
  // A product beyond what memory could hold must not be tried.
  file({ a: entry("F32", [2 ** 40, 2 ** 40], [0, 8]) }, 8);
  await refused(
    `tensor "a" of shape [${2 ** 40}, ${2 ** 40}] and dtype F32 must have ${2 ** 82} bytes: got 8`,
  );
});

test("a small file by hand, with an empty tensor and one that cannot be a weight", async () => {
  file(
    { b: entry("I64", [1], [4, 12]), a: entry("F32", [], [0, 4]), none: entry("F32", [0, 3], [4, 4]) },
    12,
  );
  await using source = await openSafetensors(path);
  assert.deepEqual([...source.tensors.keys()], ["a", "none", "b"]);
  assert.deepEqual(await source.readFloats("a"), new Float32Array(1));
  assert.equal((await source.readFloats("none")).length, 0);
  assert.equal((await source.readBytes("b")).length, 8);
  const expected = `Cannot read ${path}: tensor "b" must be F32, F16 or BF16 to be a weight: got I64`;
  await assert.rejects(source.readFloats("b"), { message: expected });
  await assert.rejects(source.readFloats("c"), { message: `Cannot read ${path}: tensor "c" is missing` });
});

test("what is written is read back, wider numbers first and each at a multiple of its size", async () => {
  const values = Float32Array.of(1.5, -2, 0, Infinity, 3);
  const tensor = (name: string, dtype: "F32" | "F16" | "BF16"): TensorToWrite => ({
    name,
    dtype,
    shape: [5],
    bytes: () => narrow(values, dtype),
  });
  await writeSafetensors(path, [tensor("half", "F16"), tensor("single", "F32"), tensor("brain", "BF16")]);
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  assert.equal(start % 8, 0);
  assert.equal(bytes.length, start + 5 * (4 + 2 + 2));
  assert.equal(bytes.readFloatLE(start), 1.5);
  await using source = await openSafetensors(path);
  assert.deepEqual([...source.tensors.keys()], ["single", "half", "brain"]);
  assert.deepEqual(source.metadata, { format: "pt" });
  for (const name of source.tensors.keys()) assert.deepEqual(await source.readFloats(name), values);
  const target = new Float32Array(7);
  await source.readFloats("brain", target.subarray(1, 6));
  assert.deepEqual(target, Float32Array.of(0, ...values, 0));
});

test("a writer that fails leaves the old file", async () => {
  const before = readFileSync(path);
  const bytes = () => Promise.reject(new Error("no"));
  await assert.rejects(writeSafetensors(path, [{ name: "a", dtype: "F32", shape: [1], bytes }]), /no/);
  assert.deepEqual(readFileSync(path), before);
});

const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** A number narrowed and widened again. */
function rounded(value: number, dtype: "F16" | "BF16"): number {
  const target = new Float32Array(1);
  widen(narrow(Float32Array.of(value), dtype), dtype, target);
  return target[0];
}

test("rounding by hand: to the nearest, ties to even", () => {
  // BF16 has 7 bits of fraction: next to 1 it steps by 2^-7.
  assert.equal(rounded(1 + 2 ** -8, "BF16"), 1);
  assert.equal(rounded(1 + 3 * 2 ** -8, "BF16"), 1 + 2 ** -6);
  assert.equal(rounded(1 + 2 ** -8 + 2 ** -20, "BF16"), 1 + 2 ** -7);
  assert.equal(rounded(3.4e38, "BF16"), Infinity);
  // F16 has 10; its largest number is 65504, its smallest 2^-24.
  assert.equal(rounded(1 + 2 ** -11, "F16"), 1);
  assert.equal(rounded(-(1 + 3 * 2 ** -11), "F16"), -(1 + 2 ** -9));
  assert.equal(rounded(65519, "F16"), 65504);
  assert.equal(rounded(65520, "F16"), Infinity);
  assert.equal(rounded(2 ** -25, "F16"), 0);
  assert.equal(rounded(1.5 * 2 ** -25, "F16"), 2 ** -24);
  assert.equal(rounded(1.5 * 2 ** -24, "F16"), 2 ** -23);
  for (const dtype of ["F16", "BF16"] as const) {
    assert.ok(Number.isNaN(rounded(NaN, dtype)));
    assert.ok(Object.is(rounded(-0, dtype), -0));
    // A NaN whose payload is lost to the narrow kind stays one.
    const nan = new Float32Array(1);
    bits(nan)[0] = 0x7f800001;
    const back = new Float32Array(1);
    widen(narrow(nan, dtype), dtype, back);
    assert.ok(bits(back)[0] > 0x7f800000);
  }
});

test("all 65,536 patterns of each half kind come back as they were", () => {
  const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const dtype of ["F16", "BF16"] as const) {
    const wide = new Float32Array(65536);
    widen(new Uint8Array(patterns.buffer), dtype, wide);
    const back = narrow(wide, dtype);
    assert.deepEqual(new Uint16Array(back.buffer, back.byteOffset, 65536), patterns);
  }
});

test("between any two neighbouring numbers of a half kind the nearer one is taken", () => {
  for (const [dtype, infinity] of [["F16", 0x7c00], ["BF16", 0x7f80]] as const) {
    const patterns = Uint16Array.from({ length: infinity }, (_, i) => i);
    const exact = new Float32Array(infinity);
    widen(new Uint8Array(patterns.buffer), dtype, exact);
    // Half-way is a float32 (BF16's smallest numbers and their halves too: they are float32's subnormals).
    const middle = new Float32Array(infinity - 1);
    for (let i = 0; i < middle.length; i++) middle[i] = exact[i] + (exact[i + 1] - exact[i]) / 2;
    const moved = (by: number) => {
      const values = middle.slice();
      const raw = bits(values);
      for (let i = 0; i < raw.length; i++) raw[i] += by;
      const bytes = narrow(values, dtype);
      return new Uint16Array(bytes.buffer, bytes.byteOffset, middle.length);
    };
    const below = moved(-1), at = moved(0), above = moved(1);
    for (let i = 0; i < middle.length; i++) {
      assert.equal(below[i], i);
      assert.equal(at[i], i % 2 === 0 ? i : i + 1);
      assert.equal(above[i], i + 1);
    }
  }
});
