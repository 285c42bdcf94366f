/**
 * Memory within a growing heap: segregated free lists, from which a block that is large enough is found in a few steps,
 * and neighbours that are joined as soon as both are free.
 */

/** A run of bytes, free or taken. Blocks lie one behind the other without gaps. */
interface Block {
  at: number;
  bytes: number;
  free: boolean;
  before: Block | undefined;
  after: Block | undefined;
}

/** Start and size of every block are multiples of it: a SIMD register. */
const GRAIN = 16;

/** Lists for each power of two: blocks of a list differ by at most an eighth. */
const LISTS_A_DOUBLING = 8;

/** How to grow the memory. */
export interface Heap {
  /** Bytes that it has now. */
  size(): number;
  /** Adds at least so many bytes at its end; false when it cannot. */
  grow(bytes: number): boolean;
}

/** What is taken and what is free. */
export interface HeapUse {
  readonly used: number;
  readonly free: number;
  /** The largest run of free bytes; with much free and no large run the heap is fragmented. */
  readonly largestFree: number;
}

/** Gives out runs of bytes of a heap, each beginning at a multiple of 16. */
export class Allocator {
  readonly #taken = new Map<number, Block>();
  readonly #lists: Set<Block>[] = [];
  #last: Block;
  #used = 0;

  /** @param start the first byte that may be given out */
  constructor(readonly heap: Heap, start: number) {
    const at = aligned(start);
    this.#last = { at, bytes: heap.size() - at, free: false, before: undefined, after: undefined };
    this.#setFree(this.#last);
  }

  /** The first byte of a run of at least so many; 0 where there is no room. */
  allocate(bytes: number): number {
    const wanted = Math.max(GRAIN, aligned(bytes));
    const block = this.#find(wanted) ?? this.#grown(wanted);
    if (!block) return 0;
    this.#unlist(block);
    if (block.bytes > wanted) {
      const rest: Block = {
        at: block.at + wanted,
        bytes: block.bytes - wanted,
        free: false,
        before: block,
        after: block.after,
      };
      if (rest.after) rest.after.before = rest;
      else this.#last = rest;
      block.after = rest;
      block.bytes = wanted;
      this.#setFree(rest);
    }
    this.#taken.set(block.at, block);
    this.#used += block.bytes;
    return block.at;
  }

  /** Gives a run back. Throws for a number that is no run's first byte, such as one that was given back before. */
  free(at: number): void {
    const block = this.#taken.get(at);
    if (!block) {
      throw new Error(`Cannot free byte ${at} of the heap: nothing that was allocated begins there`);
    }
    this.#taken.delete(at);
    this.#used -= block.bytes;
    this.#setFree(block);
  }

  /** What is taken and what is free. */
  use(): HeapUse {
    let free = 0, largestFree = 0;
    for (const list of this.#lists) {
      for (const { bytes } of list ?? []) {
        free += bytes;
        largestFree = Math.max(largestFree, bytes);
      }
    }
    return { used: this.#used, free, largestFree };
  }

  #find(wanted: number): Block | undefined {
    const first = listOf(wanted);
    // Of its own list a block may be too small; of every later one it is large enough.
    for (const block of this.#lists[first] ?? []) if (block.bytes >= wanted) return block;
    for (let i = first + 1; i < this.#lists.length; i++) {
      for (const block of this.#lists[i] ?? []) return block;
    }
    return undefined;
  }

  #grown(wanted: number): Block | undefined {
    const before = this.heap.size(), there = this.#last.free ? this.#last.bytes : 0;
    if (!this.heap.grow(wanted - there)) return undefined;
    const added = this.heap.size() - before;
    if (this.#last.free) {
      this.#unlist(this.#last);
      this.#last.bytes += added;
      this.#list(this.#last);
    } else {
      const block: Block = { at: before, bytes: added, free: false, before: this.#last, after: undefined };
      this.#last.after = block;
      this.#last = block;
      this.#setFree(block);
    }
    return this.#last;
  }

  /** Makes a block free, as one with its free neighbours. */
  #setFree(block: Block): void {
    const { before, after } = block;
    let whole = block;
    if (before?.free) {
      this.#unlist(before);
      before.bytes += block.bytes;
      before.after = after;
      if (after) after.before = before;
      whole = before;
    }
    if (after?.free) {
      this.#unlist(after);
      whole.bytes += after.bytes;
      whole.after = after.after;
      if (after.after) after.after.before = whole;
    }
    if (!whole.after) this.#last = whole;
    this.#list(whole);
  }

  #list(block: Block): void {
    block.free = true;
    (this.#lists[listOf(block.bytes)] ??= new Set()).add(block);
  }

  #unlist(block: Block): void {
    block.free = false;
    this.#lists[listOf(block.bytes)]!.delete(block);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / GRAIN) * GRAIN;
}

/** The list of blocks of that size. */
function listOf(bytes: number): number {
  const doubling = Math.floor(Math.log2(Math.max(bytes, GRAIN)));
  return doubling * LISTS_A_DOUBLING + Math.floor((bytes / 2 ** doubling - 1) * LISTS_A_DOUBLING);
}
