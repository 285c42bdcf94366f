/**
 * The one random generator of the project: every choice of a run (order of questions, mixing, sampling seeds) comes
 * from it, so that the same seed gives the same bytes and a resumed run goes on where it stopped.
 */

/** All of a generator's memory: four unsigned 32-bit words, fit for JSON. */
export type RandomState = readonly [number, number, number, number];

/** What a generator is made from besides its seed. */
export interface RandomOptions {
  /** Name or number of an independent stream of the same seed, such as "shuffle" or an epoch (default ""). */
  readonly stream?: string | number;
}

/**
 * Small fast counting generator with 128 bits of state (sfc32, C. Doty-Humphrey, PractRand; period at least 2^32,
 * on average 2^127).
 *
 * Different seeds, and different streams of one seed, give unrelated sequences: both are mixed into the state.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  /** `seed` is any finite number; its whole double counts, not only its lower 32 bits. */
  constructor(seed: number, { stream = "" }: RandomOptions = {}) {
    if (!Number.isFinite(seed)) throw new RangeError(`Seed must be a finite number: got ${seed}`);
    const key = `${seed}/${stream}`;
    this.#a = hash(key, 0x9e3779b9);
    this.#b = hash(key, 0x85ebca6b);
    this.#c = hash(key, 0xc2b2ae35);
    this.#counter = 1;
    for (let i = 0; i < 12; i++) this.word(); // sfc32's own warm-up
  }

  /** A generator that goes on from a `state` read earlier; throws RangeError when it is not four 32-bit words. */
  static restore(state: RandomState): Random {
    const random = new Random(0);
    random.state = state;
    return random;
  }

  /** The state before the next draw: store it, and set it to continue from there. */
  get state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#counter >>> 0];
  }

  set state(state: RandomState) {
    if (state.length !== 4 || state.some((word) => word !== word >>> 0)) {
      throw new RangeError(
        `Random state must be four unsigned 32-bit integers: got ${JSON.stringify(state)}`,
      );
    }
    [this.#a, this.#b, this.#c, this.#counter] = state;
  }

  /** A uniform integer in [0, 2^32). */
  word(): number {
    const word = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) | 0;
    return word >>> 0;
  }

  /** A uniform number in [0, 1), with all 53 bits of a double; two words. */
  next(): number {
    return ((this.word() >>> 5) * 0x4000000 + (this.word() >>> 6)) / 0x20000000000000;
  }

  /** A uniform integer in [0, n), 1 ≤ n ≤ 2^32, without modulo bias. */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 0x100000000) {
      throw new RangeError(`Bound must be an integer from 1 to 2^32: got ${n}`);
    }
    const limit = 0x100000000 - 0x100000000 % n; // words at or above it would favour small results
    for (;;) {
      const word = this.word();
      if (word < limit) return word % n;
    }
  }

  /** A uniform element of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.integer(list.length)];
  }

  /** Puts the list into uniform random order, in place (Fisher–Yates), and returns it. */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }

  /** A standard normal number (Box–Muller, the cosine half; two draws of `next`). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }
}

/** 32 bits from a text: FNV-1a with a start of our choice, then MurmurHash3's finaliser. */
function hash(text: string, start: number): number {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
