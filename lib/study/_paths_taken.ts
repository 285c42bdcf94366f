/** Who makes what: of several that want a path, each has it alone, in the order in which they asked. */

/** Paths that are taken, and who waits for them. */
export class PathsTaken {
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #had = new Set<string>();

  /**
   * Calls `mine` when the path is the caller's, with whether nobody had it before.
   *
   * @returns whether that was at once
   */
  want(path: string, mine: (first: boolean) => void): boolean {
    const others = this.#waiting.get(path);
    if (others !== undefined) {
      others.push(() => mine(false));
      return false;
    }
    this.#waiting.set(path, []);
    const first = !this.#had.has(path);
    this.#had.add(path);
    mine(first);
    return true;
  }

  /** Gives a path back: the next who asked has it. */
  give(path: string): void {
    const next = this.#waiting.get(path)?.shift();
    if (next === undefined) this.#waiting.delete(path);
    else next();
  }
}
