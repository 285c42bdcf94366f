/** Words that the embedded sets' grammars put into their stories. Few, so that a vocabulary of 512 tokens holds all. */

/** A person of a story, with the pronoun as it stands within and at the start of a sentence. */
export interface Person {
  /** First name. */
  readonly name: string;
  /** Within a sentence. */
  readonly he: "he" | "she";
  /** At its start. */
  readonly He: "He" | "She";
}

const women = ["Ann", "Eve", "Kate", "Lily", "Mia", "Rosa", "Sue", "Zoe"];
const men = ["Ben", "Dan", "Leo", "Max", "Omar", "Paul", "Sam", "Tom"];

/** Everybody. */
export const people: readonly Person[] = [
  ...women.map((name) => ({ name, he: "she", He: "She" }) as const),
  ...men.map((name) => ({ name, he: "he", He: "He" }) as const),
];

/** What stories count, as plurals: every number of a story is at least 2, so no singular is needed. */
export const things: readonly string[] = [
  ...["apples", "balls", "beads", "books", "cakes", "cards", "cookies", "cups", "eggs", "lemons"],
  ...["pears", "pens", "plums", "shells", "stamps", "toys"],
];

/** Those of them that a kitchen makes. */
export const baked: readonly string[] = ["cakes", "cookies", "pies", "rolls"];

/** What holds things. */
export const containers: readonly string[] = ["bags", "boxes", "jars"];

/** Days, in order. */
export const days: readonly string[] = [
  ...["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
];
