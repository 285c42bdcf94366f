/** Records dealt over the ranks of a world to whoever is free, and what becomes of them in the records' order. */

import { deserialize, serialize } from "node:v8";
import type { World } from "./world.ts";

/** What is done with records, and how they are dealt. */
export interface DealOptions<R, T> {
  /** What each rank does with those that it gets. */
  readonly work: Work<R, T>;
  /** Records that are given out together (default 4): a rank's share is whole blocks, in the order of the records. */
  readonly block?: number | undefined;
  /** Records that a rank may have to do beyond the one that has least (default `block`): more keeps its store filled. */
  readonly ahead?: number | undefined;
  /** Told of what a rank other than 0 has to say, by `tell` of its {@linkcode Work}. */
  readonly heard?: ((line: string, rank: number) => void) | undefined;
}

/**
 * What each rank does with its records: one result for each, in their order.
 *
 * @param tell says something to rank 0's `heard`
 */
export type Work<R, T> = (records: AsyncIterable<R>, tell: (line: string) => void) => AsyncIterable<T>;

/** What a rank tells rank 0: all that it had to say while its last message was on its way, in order. */
type Told<T> =
  | { readonly kind: "ask" }
  | { readonly kind: "result"; readonly result: T }
  | { readonly kind: "line"; readonly line: string }
  | { readonly kind: "end" };

/** Blocks that a rank has in store or has asked for, beside those that its work has taken: an answer may wait for rank 0's computing. */
const STORE = 6;

/**
 * The results of all records, in their order, in rank 0; in the others nothing, when all is done.
 *
 * Rank 0 reads the records, deals them in blocks and works on some itself. A block goes to the rank that asks, unless another
 * has much less to do (`ahead`). Records and results must be what a structured clone holds. In a world of one this is
 * `work(records)`.
 *
 * ```ts
 * import { alone, deal } from "./mod.ts";
 *
 * const squares = async function* (numbers: AsyncIterable<number>) {
 *   for await (const n of numbers) yield n * n;
 * };
 * for await (const square of deal(alone, [1, 2, 3], { work: squares })) console.log(square); // 1, 4, 9
 * ```
 *
 * @param records what rank 0 passes; what others pass is not looked at
 */
export async function* deal<R, T>(
  world: World,
  records: AsyncIterable<R> | Iterable<R>,
  options: DealOptions<R, T>,
): AsyncGenerator<T> {
  const { work, heard } = options;
  if (world.size === 1) return yield* work(each(records), (line) => heard?.(line, 0));
  if (world.rank === 0) yield* lead(world, { ...options, records: each(records) });
  else await follow(world, work);
  await world.barrier(); // one that began to deal again would be taken to ask for more of these
}

async function* each<R>(records: AsyncIterable<R> | Iterable<R>): AsyncGenerator<R> {
  yield* records;
}

/** What rank 0 does. */
async function* lead<R, T>(
  world: World,
  { records, work, block = 4, ahead = block, heard }: DealOptions<R, T> & {
    readonly records: AsyncGenerator<R>;
  },
): AsyncGenerator<T> {
  /** Places of the records that each rank has and has not done. */
  const left = Array.from({ length: world.size }, (): number[] => []);
  /** Records of blocks that each is being given. */
  const promised = new Array<number>(world.size).fill(0);
  const results = new Map<number, T>(), news = signal();
  let dealt = 0, ended = false, following = world.size - 1;
  let reading: Promise<unknown> = Promise.resolve();
  /** The next block for a rank, when it is its turn; an empty one at the end. */
  const next = async (rank: number): Promise<R[]> => {
    const load = (of: number) => left[of]!.length + promised[of]!;
    const least = () => Math.min(...left.map((_, other) => other === rank ? Infinity : load(other)));
    while (!ended && load(rank) > ahead + least()) await news.next();
    promised[rank]! += block;
    const taken = reading.then(async () => {
      const some: R[] = [];
      while (!ended && some.length < block) {
        const { done, value } = await records.next();
        if (done) ended = true;
        else some.push(value);
      }
      promised[rank]! -= block;
      for (const _ of some) left[rank]!.push(dealt++);
      return some;
    });
    reading = taken.catch(() => {});
    const some = await taken;
    news.tell();
    return some;
  };
  const done = (rank: number, result: T) => {
    const place = left[rank]!.shift();
    if (place === undefined) throw new Error(`Rank ${rank} has a result of no record`);
    results.set(place, result);
    news.tell();
  };

  const own = async function* () {
    for (let some = await next(0); some.length > 0; some = await next(0)) yield* some;
  };
  const working = (async () => {
    for await (const result of work(own(), (line) => heard?.(line, 0))) done(0, result);
  })();
  const answering: Promise<void>[] = [];
  const serving = (async () => {
    while (following > 0) {
      const { from, bytes } = await world.receive();
      for (const told of deserialize(bytes) as Told<T>[]) {
        if (told.kind === "result") done(from, told.result);
        else if (told.kind === "line") heard?.(told.line, from);
        else if (told.kind === "end") {
          following--;
          news.tell();
        } else {
          const answer = next(from).then((some) => world.send(from, serialize(some)));
          answer.catch(news.fail);
          answering.push(answer);
        }
      }
    }
  })();
  working.catch(news.fail);
  serving.catch(news.fail);
  try {
    for (let place = 0;;) {
      while (results.has(place)) {
        const result = results.get(place)!;
        results.delete(place++);
        yield result;
      }
      if (ended && place === dealt) break;
      await news.next();
    }
    await Promise.all([working, serving, ...answering]);
  } finally {
    await records.return(undefined);
  }
}

/** What another rank does: it asks for blocks ahead of its work, so that it need not wait. */
async function follow<R, T>(world: World, work: Work<R, T>): Promise<void> {
  let sending = Promise.resolve(), pending: Told<T>[] = [];
  // A message takes some turns of both ranks, which compute in between: so one message has all that waits for it to leave.
  const tell = (told: Told<T>) => {
    if (pending.push(told) > 1) return;
    sending = sending.then(() => {
      const bytes = serialize(pending);
      pending = [];
      return world.send(0, bytes);
    });
    sending.catch(() => {}); // awaited at the end
  };
  const store: R[][] = [], news = signal();
  let ended = false;
  const asking = (async () => {
    for (let asked = 0; !ended || asked > 0;) {
      while (!ended && store.length + asked < STORE) {
        tell({ kind: "ask" });
        asked++;
      }
      if (asked === 0) {
        await news.next();
        continue;
      }
      const some: R[] = deserialize((await world.receive(0)).bytes);
      asked--;
      if (some.length === 0) ended = true;
      else store.push(some);
      news.tell();
    }
  })();
  asking.catch(news.fail);
  const own = async function* () {
    while (true) {
      const some = store.shift();
      if (some) {
        news.tell();
        yield* some;
      } else if (ended) return;
      else await news.next();
    }
  };
  for await (const result of work(own(), (line) => tell({ kind: "line", line }))) {
    tell({ kind: "result", result });
  }
  await asking;
  tell({ kind: "end" });
  await sending;
}

/** Wakes all that wait for the next thing to happen; after a failure nobody waits any more. */
function signal(): {
  readonly next: () => Promise<void>;
  readonly tell: () => void;
  readonly fail: (error: unknown) => void;
} {
  let now = Promise.withResolvers<void>(), failure: { readonly error: unknown } | undefined;
  const tell = () => {
    const before = now;
    now = Promise.withResolvers<void>();
    before.resolve();
  };
  return {
    async next() {
      if (!failure) await now.promise;
      if (failure) throw failure.error;
    },
    tell,
    fail(error) {
      failure = { error };
      tell();
    },
  };
}
