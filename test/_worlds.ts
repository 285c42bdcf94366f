/** Worlds of several ranks in one process, for tests of what ranks compute: messages are passed in memory. */

import type { World } from "../lib/runtime/world.ts";

/** What one call of all ranks waits for. */
interface Meeting {
  readonly given: Map<number, unknown>;
  readonly done: Promise<void>;
  readonly end: () => void;
}

/** The ranks of a world of `size`, whose calls for all must come in the same order in each, as MPI's must. */
export function worldOf(size: number): World[] {
  const meetings: Meeting[] = [], ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {}); // where nobody waits when a rank aborts
  const letters = Array.from({ length: size }, (): { from: number; bytes: Uint8Array }[] => []);
  const waiting = Array.from({ length: size }, (): (() => void)[] => []);
  return Array.from({ length: size }, (_, rank): World => {
    let calls = 0;
    /** What each rank gives to this call, once all have come. Throws when they do not do the same. */
    const meet = async <T>(what: string, value: T): Promise<T[]> => {
      const call = calls++;
      meetings[call] ??= meeting();
      const { given, done, end } = meetings[call]!;
      given.set(rank, { what, value });
      if (given.size === size) end();
      await Promise.race([done, ended.promise]);
      const all = Array.from({ length: size }, (_, i) => given.get(i) as { what: string; value: T });
      if (all.some((other) => other.what !== what)) {
        throw new Error(`Ranks do different things: ${all.map((a) => a.what)}`);
      }
      return all.map((other) => other.value);
    };
    const reduce = async (values: Float32Array | Float64Array, how: "sum" | "min" | "max") => {
      const all = await meet(`${how} of ${values.length}`, values.slice());
      for (let i = 0; i < values.length; i++) {
        const each = all.map((of) => of[i]!);
        // Float32 as MPI adds it: each sum rounded.
        const round = values instanceof Float32Array ? Math.fround : (n: number) => n;
        values[i] = how === "sum" ? each.reduce((a, b) => round(a + b)) : Math[how](...each);
      }
    };
    return {
      rank,
      size,
      description: "memory",
      sum: (values) => reduce(values, "sum"),
      min: (values) => reduce(values, "min"),
      max: (values) => reduce(values, "max"),
      broadcast: async (bytes = new Uint8Array()) => (await meet("broadcast", bytes.slice()))[0]!,
      async gather(bytes) {
        const all = await meet("gather", bytes.slice());
        return rank === 0 ? all : [];
      },
      barrier: async () => void await meet("barrier", undefined),
      send(to, bytes) {
        letters[to]!.push({ from: rank, bytes: bytes.slice() });
        waiting[to]!.splice(0).forEach((wake) => wake());
        return Promise.resolve();
      },
      async receive(from) {
        while (true) {
          const at = letters[rank]!.findIndex((letter) => from === undefined || letter.from === from);
          if (at >= 0) return letters[rank]!.splice(at, 1)[0]!;
          await Promise.race([new Promise<void>((wake) => waiting[rank]!.push(wake)), ended.promise]);
        }
      },
      abort: (code) => ended.reject(new Error(`Rank ${rank} aborts with ${code}`)),
      [Symbol.asyncDispose]: async () => void await meet("the end", undefined),
    };
  });
}

function meeting(): Meeting {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { given: new Map(), done: promise, end: resolve };
}
