/** Hands out runs of cache rows: first fit over a list of free runs, neighbours joined when they come back. */
export class RowAllocator {
  readonly #free: { start: number; size: number }[];

  /** @param rows how many rows there are */
  constructor(readonly rows: number) {
    this.#free = [{ start: 0, size: rows }];
  }

  /** The first row of a run of `size`, or −1 when no free run is that long. */
  take(size: number): number {
    const index = this.#free.findIndex((run) => run.size >= size);
    if (index < 0) return -1;
    const run = this.#free[index], { start } = run;
    run.start += size;
    run.size -= size;
    if (run.size === 0) this.#free.splice(index, 1);
    return start;
  }

  /** Gives a run back. */
  give(start: number, size: number): void {
    if (size === 0) return;
    let index = this.#free.findIndex((run) => run.start > start);
    if (index < 0) index = this.#free.length;
    this.#free.splice(index, 0, { start, size });
    const join = (i: number) => {
      const a = this.#free[i], b = this.#free[i + 1];
      if (a && b && a.start + a.size === b.start) {
        a.size += b.size;
        this.#free.splice(i + 1, 1);
      }
    };
    join(index);
    join(index - 1);
  }
}
