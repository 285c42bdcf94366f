import { askedText } from "../data/asked.ts";
import { Random } from "../data/random.ts";
import type { Problem } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";

/** Which records are trained on, and which are held out. */
export interface Split {
  /** Their indices, ascending. */
  readonly trained: readonly number[];
  /** The others'. */
  readonly heldOut: readonly number[];
  /** Tickets below it are held out. */
  readonly bound: number;
}

/**
 * Holds out a share of the questions, as records stream past. A question's fate is drawn from the seed and its text alone:
 * records that ask the same go together, whatever their ids and however often they come, and the same question is held
 * out from every training with that share and seed. Where chance would hold out nothing, one question is.
 */
export class HoldingOut {
  readonly #tickets: number[] = [];

  constructor(readonly share: number, readonly seed: number) {}

  /** Takes the next record in; returns its ticket: a number from 0 to 1, the same for the same question. */
  take(record: Problem): number {
    const ticket = new Random(this.seed, { stream: `held out ${askedText(record)}` }).next();
    this.#tickets.push(ticket);
    return ticket;
  }

  /** The split of all records. Throws InputError when they ask but one question. */
  split(): Split {
    const lowest = this.#tickets.reduce((a, b) => Math.min(a, b), 1);
    const highest = this.#tickets.reduce((a, b) => Math.max(a, b), 0);
    if (this.#tickets.length > 0 && lowest === highest) {
      throw new InputError("Cannot hold out a question: the records ask only one");
    }
    // At least the lowest, never the highest.
    const bound = lowest < this.share ? Math.min(this.share, highest) : lowest + Number.EPSILON;
    const indices = this.#tickets.map((_, i) => i);
    return {
      trained: indices.filter((i) => this.#tickets[i] >= bound),
      heldOut: indices.filter((i) => this.#tickets[i] < bound),
      bound,
    };
  }
}
