import { openSpool, type Spool } from "../runtime/files.ts";

/**
 * The records of a run, on disk, readable in any order and as often as there are epochs. Memory grows by eight bytes a
 * record, whatever the records hold.
 */
export class RecordStore<R> implements AsyncDisposable {
  readonly #spool: Spool;
  readonly #ends: number[] = [];
  #digest = 0x811c9dc5;

  private constructor(spool: Spool) {
    this.#spool = spool;
  }

  /** Reads all records of a stream. */
  static async from<R extends { readonly id: string }>(
    records: AsyncIterable<R> | Iterable<R>,
  ): Promise<RecordStore<R>> {
    const store = new RecordStore<R>(await openSpool());
    try {
      const encoder = new TextEncoder();
      let at = 0;
      for await (const record of records) {
        const bytes = encoder.encode(JSON.stringify(record));
        await store.#spool.write(bytes);
        store.#ends.push(at += bytes.length);
        for (const byte of encoder.encode(`${record.id}\n${bytes.length}\n`)) {
          store.#digest = Math.imul(store.#digest ^ byte, 0x01000193) >>> 0;
        }
      }
      return store;
    } catch (error) {
      await store.#spool.close();
      throw error;
    }
  }

  /** How many records there are. */
  get size(): number {
    return this.#ends.length;
  }

  /** A number that tells other data from this: of ids and lengths in order. */
  get digest(): number {
    return this.#digest;
  }

  /** One record. */
  async get(index: number): Promise<R> {
    const start = index === 0 ? 0 : this.#ends[index - 1];
    return JSON.parse(new TextDecoder().decode(await this.#spool.readAt(start, this.#ends[index] - start)));
  }

  /** Removes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spool.close();
  }
}
