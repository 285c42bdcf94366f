import { openSpool, type Spool } from "../runtime/spool.ts";

/** Bytes of records that are kept in memory before the rest goes to a file. */
const MEMORY_BYTES = 32 * 2 ** 20;

/**
 * The records of a run, readable in any order and as often as there are epochs. The first 32 MiB stay in memory, the
 * rest goes to a temporary file: beyond that, memory grows by eight bytes a record, whatever the records hold.
 */
export class RecordStore<R> implements AsyncDisposable {
  readonly #memory: Uint8Array[] = [];
  readonly #ends: number[] = [];
  #spool?: Spool;
  #digest = 0x811c9dc5;

  private constructor() {}

  /** Reads all records of a stream. */
  static async from<R extends { readonly id: string }>(
    records: AsyncIterable<R> | Iterable<R>,
  ): Promise<RecordStore<R>> {
    const store = new RecordStore<R>(), encoder = new TextEncoder();
    let inMemory = 0, inFile = 0;
    try {
      for await (const record of records) {
        const bytes = encoder.encode(JSON.stringify(record));
        if (store.#ends.length === 0 && inMemory + bytes.length <= MEMORY_BYTES) {
          store.#memory.push(bytes);
          inMemory += bytes.length;
        } else {
          store.#spool ??= await openSpool();
          await store.#spool.write(bytes);
          store.#ends.push(inFile += bytes.length);
        }
        let digest = store.#digest;
        for (const byte of bytes) digest = Math.imul(digest ^ byte, 0x01000193);
        store.#digest = digest >>> 0;
      }
      return store;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How many records there are. */
  get size(): number {
    return this.#memory.length + this.#ends.length;
  }

  /** A number that tells other data from this: FNV-1a of every byte in order. */
  get digest(): number {
    return this.#digest;
  }

  /** One record. */
  async get(index: number): Promise<R> {
    const decoder = new TextDecoder(), at = index - this.#memory.length;
    if (at < 0) return JSON.parse(decoder.decode(this.#memory[index]));
    const start = at === 0 ? 0 : this.#ends[at - 1];
    return JSON.parse(decoder.decode(await this.#spool!.readAt(start, this.#ends[at] - start)));
  }

  /** Removes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spool?.close();
  }
}
