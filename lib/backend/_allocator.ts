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
  /** In the list of free blocks of its size. */
  previous: Block | undefined;
  next: Block | undefined;
}

/** Start and size of every block are multiples of it: a SIMD register. */
const GRAIN = 16;

/** Lists for each power of two, 2³: blocks of a list differ by at most an eighth. */
const LISTS_A_DOUBLING = 8;
/** Lists of all sizes up to 4 GiB, as many as 8 words have bits. */
const WORDS = 8, LISTS = 32 * WORDS;

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
  /** The first block of each list, and which lists have one, a bit each. */
  readonly #lists: (Block | undefined)[] = new Array<undefined>(LISTS).fill(undefined);
  readonly #filled = new Int32Array(WORDS);
  #last: Block;
  #used = 0;

  /** @param start the first byte that may be given out */
  constructor(readonly heap: Heap, start: number) {
    const at = aligned(start);
    this.#last = blockOf(at, heap.size() - at);
    this.#setFree(this.#last);
  }

  /** The first byte of a run of at least so many; 0 where there is no room. */
  allocate(bytes: number): number {
    const wanted = Math.max(GRAIN, aligned(bytes));
    const block = this.#find(wanted) ?? this.#grown(wanted);
    if (!block) return 0;
    this.#unlist(block);
    if (block.bytes > wanted) {
      const rest = blockOf(block.at + wanted, block.bytes - wanted);
      rest.before = block;
      rest.after = block.after;
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
      for (let block = list; block; block = block.next) {
        free += block.bytes;
        largestFree = Math.max(largestFree, block.bytes);
      }
    }
    return { used: this.#used, free, largestFree };
  }

  #find(wanted: number): Block | undefined {
    const first = listOf(wanted);
    // Of its own list a block may be too small; of every later one it is large enough.
    for (let block = this.#lists[first]; block; block = block.next) if (block.bytes >= wanted) return block;
    const later = first + 1;
    for (let word = later >> 5, mask = -1 << (later & 31); word < WORDS; word++, mask = -1) {
      const filled = this.#filled[word]! & mask;
      if (filled !== 0) return this.#lists[32 * word + 31 - Math.clz32(filled & -filled)];
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
      const block = blockOf(before, added);
      block.before = this.#last;
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
    const list = listOf(block.bytes), next = this.#lists[list];
    block.free = true;
    block.next = next;
    if (next) next.previous = block;
    this.#lists[list] = block;
    this.#filled[list >> 5]! |= 1 << (list & 31);
  }

  #unlist(block: Block): void {
    const { previous, next } = block;
    block.free = false;
    block.previous = block.next = undefined;
    if (next) next.previous = previous;
    if (previous) {
      previous.next = next;
      return;
    }
    const list = listOf(block.bytes);
    this.#lists[list] = next;
    if (!next) this.#filled[list >> 5]! &= ~(1 << (list & 31));
  }
}

function blockOf(at: number, bytes: number): Block {
  const none = undefined;
  return { at, bytes, free: false, before: none, after: none, previous: none, next: none };
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / GRAIN) * GRAIN;
}

/** The list of blocks of that size. */
function listOf(bytes: number): number {
  const grains = bytes / GRAIN, doubling = 31 - Math.clz32(grains);
  return doubling * LISTS_A_DOUBLING + ((grains << 3 >>> doubling) & (LISTS_A_DOUBLING - 1));
}
