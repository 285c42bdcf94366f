/** Stories of two equations. The chains of a kind differ in what is worked out, not in the order of a sum. */

import { type Kind, step } from "./_grammar.ts";
import { baked, days } from "./_grammar_words.ts";

/** Kinds whose plainest chain has two equations. */
export const shortStories: readonly Kind[] = [
  kind("buying", (d) => {
    const [a, b, price] = [d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    const [x, y] = d.things;
    return {
      question: `${who.name} buys ${a} ${x} and ${b} ${y}. Each costs ${price} dollars. ` +
        `How many dollars does ${who.name} pay?`,
      chains: product([a, b, price], "things", "dollars"),
    };
  }),
  kind("giving", (d) => {
    const [had, a, b] = [d.total(), d.amount(), d.amount()];
    const [who, first, second] = d.people;
    const [x] = d.things;
    return {
      question:
        `${who.name} has ${had} ${x}. ${who.He} gives ${a} to ${first.name} and ${b} to ${second.name}. ` +
        `How many ${x} does ${who.he} have left?`,
      chains: [
        [step(a, "+", b, x), step(had, "-", a + b, x)],
        [step(had, "-", a, x), step(had - a, "-", b, x)],
        [step(had, "-", b, x), step(had - b, "-", a, x)],
      ],
    };
  }),
  kind("trading", (d) => {
    const [had, bought, sold] = [d.amount(), d.amount(), d.amount()];
    const [who] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${had} ${x}. ${who.He} buys ${bought} more and sells ${sold}. ` +
        `How many ${x} does ${who.he} have now?`,
      chains: [
        [step(had, "+", bought, x), step(had + bought, "-", sold, x)],
        [step(had, "-", sold, x), step(had - sold, "+", bought, x)],
        [step(bought, "-", sold, x), step(had, "+", bought - sold, x)],
      ],
    };
  }),
  kind("filling", (d) => {
    const [n, big, small] = [d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} fills ${n} ${d.container} with ${big} big and ${small} small ${x} each. ` +
        `How many ${x} does ${who.he} need?`,
      chains: product([big, small, n], x, x),
    };
  }),
  kind("sharing", (d) => {
    const friends = d.factor();
    const [a, b] = [friends * d.factor(), friends * d.factor()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${a} ${x} and ${other.name} has ${b}. They share them equally among ` +
        `${friends} friends. How many ${x} does each friend get?`,
      chains: [
        [step(a, "+", b, x), step(a + b, "/", friends, x)],
        [step(a, "/", friends, x), step(b, "/", friends, x), step(a / friends, "+", b / friends, x)],
      ],
    };
  }),
  kind("keeping", (d) => {
    const friends = d.factor();
    const kept = friends * d.factor();
    const had = kept + friends * d.factor();
    const [who] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${had} ${x}. ${who.He} keeps ${kept} and shares the rest equally among ` +
        `${friends} friends. How many ${x} does each friend get?`,
      chains: [
        [step(had, "-", kept, x), step(had - kept, "/", friends, x)],
        [
          step(had, "/", friends, x),
          step(kept, "/", friends, x),
          step(had / friends, "-", kept / friends, x),
        ],
      ],
    };
  }),
  kind("riding", (d) => {
    const [speed, first, second] = [d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    const start = d.random.integer(days.length - 1);
    return {
      question:
        `${who.name} rides ${speed} miles an hour. ${who.He} rides ${first} hours on ${days[start]} and ` +
        `${second} hours on ${days[start + 1]}. How many miles does ${who.he} ride?`,
      chains: product([first, second, speed], "hours", "miles"),
    };
  }),
  kind("training", (d) => {
    const [walked, run, n] = [d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    return {
      question: `Every day ${who.name} walks ${walked} miles and runs ${run} miles. ` +
        `How many miles does ${who.he} go in ${n} days?`,
      chains: product([walked, run, n], "miles", "miles"),
    };
  }),
  kind("reading", (d) => {
    const [a, b, n] = [d.factor(), d.factor(), d.factor()];
    const [who, other] = d.people;
    return {
      question: `${who.name} reads ${a} pages a day and ${other.name} reads ${b} pages a day. ` +
        `How many pages do they read in ${n} days?`,
      chains: product([a, b, n], "pages", "pages"),
    };
  }),
  kind("wages", (d) => {
    const [wage, long, short] = [d.factor(), d.factor(), d.factor()];
    const [who, other] = d.people;
    return {
      question:
        `${who.name} and ${other.name} both earn ${wage} dollars an hour. ${who.name} works ${long} hours ` +
        `and ${other.name} works ${short} hours. How many more dollars does ${who.name} earn?`,
      chains: difference([long, short, wage], "hours", "dollars"),
    };
  }),
  kind("comparing", (d) => {
    const [more, fewer, each] = [d.factor(), d.factor(), d.factor()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question:
        `${who.name} has ${more} ${d.container} and ${other.name} has ${fewer} ${d.container}, with ${each} ` +
        `${x} in each. How many more ${x} does ${who.name} have?`,
      chains: difference([more, fewer, each], d.container, x),
    };
  }),
  kind("seating", (d) => {
    const [rows, seats, taken] = [d.factor(), d.factor(), d.factor()];
    return {
      question: `A hall has ${rows} rows of ${seats} seats. In each row ${taken} seats are taken. ` +
        `How many seats are free?`,
      chains: difference([seats, taken, rows], "seats", "seats"),
    };
  }),
  kind("change", (d) => {
    const [had, price] = [d.total(), d.amount()];
    const n = 2 + d.random.integer(2);
    const [who] = d.people;
    const [x] = d.things;
    const stepwise = Array.from({ length: n }, (_, i) => step(had - i * price, "-", price, "dollars"));
    return {
      question: `${who.name} has ${had} dollars. ${who.He} buys ${n} ${x} for ${price} dollars each. ` +
        `How many dollars does ${who.he} have left?`,
      chains: [[step(n, "*", price, "dollars"), step(had, "-", n * price, "dollars")], stepwise],
    };
  }),
  kind("shelves", (d) => {
    const [shelves, boxes, each] = [d.factor(), d.factor(), d.factor()];
    const [x] = d.things;
    return {
      question:
        `A shop has ${shelves} shelves with ${boxes} ${d.container} each. There are ${each} ${x} in each of ` +
        `the ${d.container}. How many ${x} are there?`,
      chains: [
        [step(shelves, "*", boxes, d.container), step(shelves * boxes, "*", each, x)],
        [step(boxes, "*", each, x), step(shelves, "*", boxes * each, x)],
      ],
    };
  }),
  kind("more", (d) => {
    const [a, more] = [d.amount(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${a} ${x}. ${other.name} has ${more} more ${x} than ${who.name}. ` +
        `How many ${x} do they have together?`,
      chains: [
        [step(a, "+", more, x), step(a, "+", a + more, x)],
        [step(2, "*", a, x), step(2 * a, "+", more, x)],
      ],
    };
  }),
  kind("times_together", (d) => {
    const [a, times] = [d.amount(), d.factor()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${a} ${x}. ${other.name} has ${times} times as many. ` +
        `How many ${x} do they have together?`,
      chains: [
        [step(a, "*", times, x), step(a, "+", a * times, x)],
        [step(times, "+", 1, "parts"), step(a, "*", times + 1, x)],
      ],
    };
  }),
  kind("times_more", (d) => {
    const [a, times] = [d.amount(), d.factor()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${a} ${x}. ${other.name} has ${times} times as many. ` +
        `How many more ${x} does ${other.name} have?`,
      chains: [
        [step(a, "*", times, x), step(a * times, "-", a, x)],
        [step(times, "-", 1, "parts"), step(a, "*", times - 1, x)],
      ],
    };
  }),
  kind("fewer_and_more", (d) => {
    const [a, fewer, more] = [d.amount(), d.amount(), d.amount()];
    const [first, second, third] = d.people;
    const [x] = d.things;
    return {
      question:
        `${first.name} has ${a} ${x}. ${second.name} has ${fewer} fewer than ${first.name}. ${third.name} ` +
        `has ${more} more than ${second.name}. How many ${x} does ${third.name} have?`,
      chains: [
        [step(a, "-", fewer, x), step(a - fewer, "+", more, x)],
        [step(a, "+", more, x), step(a + more, "-", fewer, x)],
        [step(more, "-", fewer, x), step(a, "+", more - fewer, x)],
      ],
    };
  }),
  kind("ages", (d) => {
    const [a, older, later] = [d.amount(), d.amount(), d.amount()];
    const [who, other] = d.people;
    return {
      question: `${who.name} is ${a} years old. ${other.name} is ${older} years older. ` +
        `How old will ${other.name} be in ${later} years?`,
      chains: [
        [step(a, "+", older, "years"), step(a + older, "+", later, "years")],
        [step(a, "+", later, "years"), step(a + later, "+", older, "years")],
        [step(older, "+", later, "years"), step(a, "+", older + later, "years")],
      ],
    };
  }),
  kind("half", (d) => {
    const [half, eaten] = [d.amount(), d.amount()];
    const [who, other] = d.people;
    const x = d.random.pick(baked);
    return {
      question:
        `${who.name} makes ${
          2 * half
        } ${x}. ${who.He} gives half of them to ${other.name} and eats ${eaten}. ` +
        `How many ${x} does ${who.he} have left?`,
      chains: [
        [step(2 * half, "/", 2, x), step(half, "-", eaten, x)],
        [step(2 * half, "/", 2, x), step(half, "+", eaten, x), step(2 * half, "-", half + eaten, x)],
      ],
    };
  }),
];

function kind(name: string, tell: Kind["tell"]): Kind {
  return { name, steps: 2, tell };
}

/** (a + b)·c, and a·c + b·c. */
function product(
  [a, b, c]: readonly [number, number, number],
  sum: string,
  unit: string,
): ReturnType<Kind["tell"]>["chains"] {
  return [
    [step(a, "+", b, sum), step(a + b, "*", c, unit)],
    [step(a, "*", c, unit), step(b, "*", c, unit), step(a * c, "+", b * c, unit)],
  ];
}

/** (a − b)·c, and a·c − b·c. */
function difference(
  [a, b, c]: readonly [number, number, number],
  rest: string,
  unit: string,
): ReturnType<Kind["tell"]>["chains"] {
  return [
    [step(a, "-", b, rest), step(a - b, "*", c, unit)],
    [step(a, "*", c, unit), step(b, "*", c, unit), step(a * c, "-", b * c, unit)],
  ];
}
