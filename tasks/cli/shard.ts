/** A task that does one shard of several: which of its records those are, and the mark that its output ends in. */

import { createHash } from "node:crypto";
import { parseShard, partOf, type ShardMark, shardRecord } from "../../lib/data/shards.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { text } from "./option.ts";
import { withoutFlow } from "./partial_output.ts";
import type { TaskIo } from "./run_task.ts";

/** The option of a task whose records can be sharded to several machines. */
export const shardOption = {
  shard: {
    ...text("--shard", {
      metavar: "R/N",
      help: "Do part R of N (1/4, 2/4, …), each on a machine of its own; merge-shards joins them in order",
    }),
    read: (value: string) => parseShard(value) && value,
    expected: "a part and how many there are, from 1/N to N/N",
  },
} as const;

/** Options of this run that are not of the whole, or change no line: beside those of {@linkcode withoutFlow}. */
const manners = ["shard", "resume", "overwrite", "quiet", "debug", "profile"];

/** Records of which this run takes its part. */
export interface Sharded<T> {
  /** Those of this run, in order; all of them without `--shard`. */
  readonly records: AsyncIterable<T>;
  /** Writes the mark behind what became of them, where there is one to write. */
  end(): Promise<void>;
}

/**
 * The records that `--shard` leaves to this run. They are all read, so that the mark can say how many there are and that
 * they were the same everywhere.
 *
 * Without the option, input that is a shard itself passes its mark on: a filter behind a shard writes a shard.
 */
export function sharded<T extends object>(
  all: AsyncIterable<T>,
  { shard: asked }: { readonly shard?: string | undefined },
  { input, output, listener, configuration }: Pick<TaskIo, "input" | "output" | "listener" | "configuration">,
): Sharded<T> {
  const shard = asked === undefined ? undefined : parseShard(asked)!;
  const options = Object.fromEntries(
    Object.entries(withoutFlow(configuration).options).filter(([name]) => !manners.includes(name)),
  );
  const step = { ...configuration, options }, hash = createHash("sha256");
  let total = 0, taken = 0;
  const records = async function* () {
    for await (const record of all) {
      const mine = !shard || partOf(total, shard.of) === shard.part;
      if (shard) hash.update(`${JSON.stringify(record)}\n`);
      total++;
      if (!mine) continue;
      taken++;
      yield record;
    }
    if (shard && input.shard) {
      throw new InputError(
        `Cannot take shard ${asked} of ${input.name}: it is shard ${input.shard.part}/${input.shard.of} itself`,
      );
    }
    if (shard && taken === 0) {
      listener.warn(
        `Shard ${asked} has no records: there are ${total}, and a shard takes 32 in a row`,
      );
    }
  };
  const write = (mark: ShardMark) => output.writeRecord(shardRecord(mark));
  return {
    records: records(),
    async end() {
      if (shard) {
        return await write({ ...shard, records: taken, total, digest: hash.digest("hex"), asked: [step] });
      }
      if (!input.shard) return;
      const { part, of } = input.shard, name = `shard ${part}/${of}`;
      if (taken === input.shard.records) {
        return await write({ ...input.shard, asked: [...input.shard.asked, step] });
      }
      listener.warn(
        `${input.name} is ${name}, of which ${taken} records are taken: what is written cannot be merged with others`,
      );
    },
  };
}
