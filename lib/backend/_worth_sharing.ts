/**
 * Whether sharing work out pays just now. On a machine with more to do than cores, a thread that has taken a unit may be
 * put aside for milliseconds while the others wait for it: decoding, which gives out thousands of short jobs a second, then
 * falls below what one thread does. So where much of the time is waiting, the same jobs are done alone for a moment, and
 * what is faster goes on for a while. Jobs are told apart by how they are written down, since equal ones come again.
 */

/** Milliseconds and jobs that are looked at together. */
const WINDOW = 10, JOBS = 8;

/** Share of the time that may be waiting for others before doing without them is tried. */
const WAITING = 0.2;

/** By how much the other way must be faster to be taken. */
const GAIN = 1.1;

/** Milliseconds after which the other way is tried again: twice as many each time that it is no faster. */
const FIRST = 50, LONGEST = 1000;

/** At least so many times as long as a trial took does the next wait after it failed, so that trials of long jobs cost little. */
const SELDOM = 40;

/** Share of the newest time in what is known of a kind of job. */
const NEWEST = 0.3;

/** Kinds of jobs that are known at once. */
const KINDS = 4096;

type Way = "shared" | "alone";

/** Decides, from what jobs took, how the next is done. */
export class WorthSharing {
  /** How the next job is to be done. */
  way: Way = "shared";
  /** Milliseconds that a job of each kind took, done either way. */
  readonly #known: Readonly<Record<Way, Map<number, number>>> = { shared: new Map(), alone: new Map() };
  #trying = false;
  #next = 0;
  #pause = FIRST;
  #jobs = 0;
  #time = 0;
  #waited = 0;
  /** What the jobs of which both is known took, and would have taken the other way. */
  #both = 0;
  #other = 0;

  /**
   * Tells of a job that was done as `way` says.
   *
   * @param job `kind`: the same for jobs that are alike; `start`, `end`: milliseconds; `waited`: those without work of its own
   */
  tell({ kind, start, end, waited }: Readonly<Record<"kind" | "start" | "end" | "waited", number>>): void {
    const { way } = this, mine = this.#known[way], took = end - start, before = mine.get(kind);
    const other = this.#known[way === "shared" ? "alone" : "shared"].get(kind);
    if (mine.size >= KINDS) mine.clear(); // kinds with the length of what was decoded in them do not come again
    mine.set(kind, before === undefined ? took : before + NEWEST * (took - before));
    this.#time += took;
    this.#waited += waited;
    if (other !== undefined) {
      this.#both += took;
      this.#other += other;
    }
    if (++this.#jobs < JOBS || this.#time < WINDOW) return;
    const worse = this.#both > GAIN * this.#other, better = this.#other > GAIN * this.#both;
    if (this.#trying) {
      this.#trying = false;
      if (better) this.#pause = FIRST;
      else {
        this.#turn(); // back
        this.#pause = Math.max(Math.min(LONGEST, 2 * this.#pause), SELDOM * this.#time);
      }
      this.#next = end + this.#pause;
    } else if (end >= this.#next && (way === "alone" || worse || this.#waited > WAITING * this.#time)) {
      this.#turn();
      this.#trying = true;
    }
    this.#jobs =
      this.#time =
      this.#waited =
      this.#both =
      this.#other =
        0;
  }

  #turn(): void {
    this.way = this.way === "shared" ? "alone" : "shared";
  }
}
