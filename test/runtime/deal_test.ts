import assert from "node:assert/strict";
import { test } from "node:test";
import { deal, type DealOptions, type Work } from "../../lib/runtime/deal.ts";
import { alone, type World } from "../../lib/runtime/world.ts";
import { worldOf } from "../_worlds.ts";

/** Every rank's results and how many records each had. */
async function dealt<R, T>(
  size: number,
  { records, work, ...options }: Omit<DealOptions<R, T>, "work"> & {
    readonly records: Iterable<R> | AsyncIterable<R>;
    readonly work: (rank: number) => Work<R, T>;
  },
): Promise<{ results: T[][]; counts: number[] }> {
  const counts = new Array<number>(size).fill(0);
  const results = await Promise.all((size === 1 ? [alone] : worldOf(size)).map(async (world) => {
    const all: T[] = [];
    const counted: Work<R, T> = (records, tell) =>
      work(world.rank)(
        (async function* () {
          for await (const record of records) {
            counts[world.rank]!++;
            yield record;
          }
        })(),
        tell,
      );
    // What others than rank 0 pass is not looked at.
    for await (const result of deal(world, world.rank === 0 ? records : [], { ...options, work: counted })) {
      all.push(result);
    }
    return all;
  }));
  return { results, counts };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
const waiting = (milliseconds: (n: number) => number): Work<number, string> =>
  async function* (records) {
    for await (const n of records) {
      await new Promise((resolve) => setTimeout(resolve, milliseconds(n)));
      yield `n${n}`;
    }
  };

for (const size of [1, 2, 3]) {
  test(`${size} ranks: every record once, in order, whoever is slow`, async () => {
    for (const count of [0, 1, 7, 40]) {
      for (const slow of [0, 1]) {
        const work = (rank: number) => waiting((n) => rank === slow ? 6 : n % 3);
        const { results, counts } = await dealt(size, { records: numbers(count), work, block: 3 });
        assert.deepEqual(results[0], numbers(count).map((n) => `n${n}`));
        assert.ok(results.slice(1).every((others) => others.length === 0));
        assert.equal(counts.reduce((a, b) => a + b), count);
      }
    }
  });
}

test("whoever is free gets the next: a rank ten times as slow does less than a third", async () => {
  const { counts } = await dealt(2, {
    records: numbers(80),
    work: (rank) => waiting(() => rank === 0 ? 20 : 2),
    block: 2,
  });
  assert.ok(counts[0]! < 27 && counts[1]! > 53, counts.join());
});

test("a rank whose messages take long says in one all that waits, and does its share", async () => {
  const [first, second] = worldOf(2) as [World, World], done = [0, 0];
  let messages = 0;
  // As where both ranks compute, and hear each other now and then.
  const slow: World = {
    ...second,
    async send(to, bytes) {
      messages++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      await second.send(to, bytes);
    },
  };
  const all: number[] = [];
  await Promise.all([first, slow].map(async (world) => {
    const work = async function* (records: AsyncIterable<number>) {
      for await (const n of records) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        done[world.rank]!++;
        yield n;
      }
    };
    for await (const n of deal(world, numbers(200), { work, block: 4, ahead: 48 })) all.push(n);
  }));
  assert.deepEqual(all, numbers(200));
  assert.ok(done[1]! > 50, `${done}`);
  assert.ok(messages < done[1]!, `${messages} messages of ${done[1]} results`);
});

test("few records are shared out, though every rank would take them all", async () => {
  const hungry = () =>
    async function* (records: AsyncIterable<number>) {
      const all: number[] = [];
      for await (const n of records) all.push(n);
      await Promise.resolve();
      yield* all;
    };
  for (const size of [2, 3]) {
    const { results, counts } = await dealt(size, { records: numbers(24), work: hungry });
    assert.deepEqual(results[0], numbers(24));
    assert.ok(counts.every((count) => Math.abs(count - 24 / size) <= 4), counts.join());
  }
});

test("work that wants records ahead of its results gets whole blocks, and all of them", async () => {
  // As `score` does: results come when the next block has begun, or at the end.
  const blocks: number[][] = [];
  const work = () =>
    async function* (records: AsyncIterable<number>) {
      let held: number[] = [];
      for await (const n of records) {
        if (held.length === 4) {
          blocks.push(held);
          yield* held.splice(0);
        }
        held = [...held, n];
      }
      if (held.length > 0) blocks.push([...held]);
      yield* held;
    };
  const { results } = await dealt(3, { records: numbers(30), work, block: 4 });
  assert.deepEqual(results[0], numbers(30));
});

test("one deal behind the other: whoever is through with the first waits for the second", async () => {
  const results = await Promise.all(
    worldOf(3).map(async (world) => {
      const all: string[][] = [];
      // Rank 2 is slow: the others are through with the first long before it.
      for (const count of [7, 5, 9]) {
        const work = waiting(() => world.rank === 2 ? 9 : 1);
        all.push(await Array.fromAsync(deal(world, numbers(count), { work, block: 2 })));
      }
      return all;
    }),
  );
  assert.deepEqual(results[0], [7, 5, 9].map((count) => numbers(count).map((n) => `n${n}`)));
});

test("all kinds of values pass, and what a rank says reaches rank 0 with its number", async () => {
  const value = {
    big: 12345678901234567890n,
    nothing: undefined,
    odd: NaN,
    text: "ä\u2028😀",
    list: [1, [null]],
  };
  const heard: string[] = [];
  const work = (rank: number): Work<typeof value, object> =>
    async function* (records, tell) {
      for await (const record of records) yield { ...record, done: true };
      tell(`rank ${rank} is done`);
    };
  const { results } = await dealt(2, {
    records: Array(9).fill(value),
    work,
    block: 1,
    heard: (line, rank) => heard.push(`${rank}: ${line}`),
  });
  assert.deepEqual(results[0], Array(9).fill({ ...value, done: true }));
  assert.deepEqual(heard.sort(), ["0: rank 0 is done", "1: rank 1 is done"]);
});

test("records that break off end the work behind those that came", async () => {
  const records = async function* () {
    yield* numbers(6);
    await Promise.resolve();
    throw new Error("broken");
  };
  const world = worldOf(2), got: string[] = [];
  const other = (async () => {
    for await (const _ of deal(world[1]!, [], { work: waiting(() => 1) })) assert.fail("results in rank 1");
  })().catch(() => {});
  await assert.rejects(async () => {
    for await (const result of deal(world[0]!, records(), { work: waiting(() => 1), block: 2 })) {
      got.push(result);
    }
  }, /^Error: broken$/);
  assert.ok(got.length <= 6);
  world[0]!.abort(1); // as a task that fails does: then the others end too
  await other;
});

test("a rank that fails is not waited for by itself", async () => {
  const [first, second] = worldOf(2);
  const leading = (async () => {
    for await (const _ of deal(first!, numbers(50), { work: waiting(() => 1), block: 2 }));
  })();
  leading.catch(() => {});
  await assert.rejects(async () => {
    // deno-lint-ignore require-yield
    const work: Work<number, string> = async function* (records) {
      for await (const _ of records) throw new Error("rank 1 fails");
    };
    for await (const _ of deal(second!, [], { work }));
  }, /^Error: rank 1 fails$/);
  second!.abort(1);
  await assert.rejects(leading, /^Error: Rank 1 aborts with 1$/);
});
