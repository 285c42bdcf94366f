/**
 * Who is told what long work is doing. Every function that takes long has `listener` and `signal` among its options: the
 * command line draws bars from the one and ends the work by the other, a script does what it likes.
 */

/** How far a part of the work has come. */
export interface ProgressEvent {
  /** Which part: "vft", "greedy", "scores", a file's name. One is under way at a time. */
  readonly part: string;
  /** Steps, questions or bytes that are done, of all. */
  readonly done: number;
  /** The number that `done` will reach; absent where nobody knows. */
  readonly total?: number;
  /** What `done` counts, where it is no steps or questions. */
  readonly unit?: "bytes";
  /** Tokens worked on since the last event. */
  readonly tokens?: number;
  /** Seconds that all of the larger work, of which this is a part, is likely to take from here; absent while nobody knows. */
  readonly left?: number;
  /** Figures beside it, such as the loss. */
  readonly values?: Readonly<Record<string, number>>;
}

/** What hears of the work. Each method may be left out; none may throw. */
export interface Listener {
  /** A line for whoever wants to follow: which backend serves, what was written. */
  readonly note?: ((line: string) => void) | undefined;
  /** A line that a person should see, however little else is wanted. */
  readonly warn?: ((line: string) => void) | undefined;
  /** A line for whoever looks for a fault: each candidate without an answer, say. */
  readonly detail?: ((line: string) => void) | undefined;
  /** A line of metrics of a training within larger work, as `train` yields it: which model's, and the figures. */
  readonly metrics?: ((model: string, line: Readonly<Record<string, unknown>>) => void) | undefined;
  /** Progress: often, so that what is shown must be chosen. */
  readonly progress?: ((event: ProgressEvent) => void) | undefined;
}

/** What every long function takes beside its own options. */
export interface Watched {
  /** Told of progress, warnings and notes (default: nobody is). */
  readonly listener?: Listener | undefined;
  /** Ends the work within a moment: what it does then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The same listener for one stage of larger work: parts and warnings get the stage's name. */
export function inStage(listener: Listener | undefined, label: string): Listener {
  return {
    ...listener,
    warn: (line) => listener?.warn?.(`${label}: ${line}`),
    progress: (event) => listener?.progress?.({ ...event, part: `${label}, ${event.part}` }),
  };
}
