/** The allocator of the CPU's heap: nothing overlaps, everything comes back, and free neighbours become one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Allocator } from "../../lib/backend/_allocator.ts";
import { Random } from "../../lib/data/random.ts";

function heapOf(most: number, first = 4096) {
  let size = first;
  return {
    size: () => size,
    grow(bytes: number) {
      const wanted = Math.ceil(bytes / 4096) * 4096;
      if (size + wanted > most) return false;
      size += wanted;
      return true;
    },
  };
}

test("runs begin at multiples of 16, behind each other; what is freed is given out again", () => {
  const allocator = new Allocator(heapOf(1 << 20), 1000);
  const a = allocator.allocate(10), b = allocator.allocate(100), c = allocator.allocate(16);
  assert.deepEqual([a, b, c], [1008, 1024, 1136]);
  allocator.free(b);
  assert.equal(allocator.allocate(112), b);
  assert.equal(allocator.use().used, 16 + 112 + 16);
  assert.throws(() => allocator.free(b + 16), /^Error: Cannot free byte 1040 of the heap/);
  allocator.free(a);
  assert.throws(() => allocator.free(a), /nothing that was allocated begins there/);
});

test("free neighbours become one run, in whichever order they are freed", () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1]]) {
    const allocator = new Allocator(heapOf(1 << 20), 16);
    const runs = [160, 320, 480].map((bytes) => allocator.allocate(bytes));
    allocator.allocate(16); // keeps the rest of the heap apart
    order.forEach((i) => allocator.free(runs[i]!));
    assert.equal(allocator.allocate(960), runs[0], order.join());
  }
});

test("a heap that cannot grow gives 0, and serves what fits", () => {
  const allocator = new Allocator(heapOf(8192), 16);
  assert.equal(allocator.allocate(10_000), 0);
  const all = allocator.allocate(8000);
  assert.notEqual(all, 0);
  assert.equal(allocator.allocate(8000), 0);
  allocator.free(all);
  assert.notEqual(allocator.allocate(8000), 0);
});

test("a million operations: no two runs overlap, and in the end all is one free run", () => {
  const allocator = new Allocator(heapOf(1 << 28), 1024), random = new Random(5);
  const live: { at: number; bytes: number }[] = [];
  // One byte of ownership for each 16: an overlap would be seen at once.
  const owner = new Int32Array((1 << 28) / 16);
  let serial = 0, most = 0;
  const mark = ({ at, bytes }: { at: number; bytes: number }, expected: number, mine: number) => {
    // The ends are enough for large runs, since every run is at least as long as the step.
    const last = Math.ceil(bytes / 16) - 1, step = Math.max(1, last >> 5);
    for (let i = 0; i <= last; i += i + step > last && i < last ? last - i : step) {
      assert.equal(owner[at / 16 + i], expected, `byte ${at + 16 * i}`);
      owner[at / 16 + i] = mine;
    }
  };
  const numbers = new Map<number, number>();
  for (let i = 0; i < 1_000_000; i++) {
    if (live.length < 400 && (live.length === 0 || random.next() < 0.52)) {
      const bytes = 1 + Math.floor(2 ** (random.next() * 16));
      const at = allocator.allocate(bytes);
      assert.ok(at > 0 && at % 16 === 0);
      const run = { at, bytes };
      numbers.set(at, ++serial);
      mark(run, 0, serial);
      live.push(run);
    } else {
      const at = random.integer(live.length), [run] = live.splice(at, 1);
      mark(run!, numbers.get(run!.at)!, 0);
      allocator.free(run!.at);
    }
    most = Math.max(most, allocator.use.length);
  }
  live.forEach(({ at }) => allocator.free(at));
  const { used, free, largestFree } = allocator.use();
  assert.equal(used, 0);
  assert.equal(largestFree, free, "all of it is one run");
  assert.ok(free < 64 << 20, `${free} bytes for 400 runs of at most 64 KiB`);
});
