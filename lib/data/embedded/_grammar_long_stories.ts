/** Stories of three and four equations. */

import { type Kind, step } from "./_grammar.ts";
import { baked } from "./_grammar_words.ts";

/** Kinds whose plainest chain has three equations. */
export const longStories: readonly Kind[] = [
  kind("spending", 3, (d) => {
    const [had, a, b, price] = [d.total(), d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    const [x, y] = d.things;
    const [ap, bp] = [a * price, b * price];
    return {
      question:
        `${who.name} has ${had} dollars. ${who.He} buys ${a} ${x} and ${b} ${y} for ${price} dollars each. ` +
        `How many dollars does ${who.he} have left?`,
      chains: [
        [step(a, "+", b, "things"), step(a + b, "*", price, "dollars"), step(had, "-", ap + bp, "dollars")],
        [
          ...[step(a, "*", price, "dollars"), step(had, "-", ap, "dollars")],
          ...[step(b, "*", price, "dollars"), step(had - ap, "-", bp, "dollars")],
        ],
        [
          ...[step(a, "*", price, "dollars"), step(b, "*", price, "dollars")],
          ...[step(ap, "+", bp, "dollars"), step(had, "-", ap + bp, "dollars")],
        ],
      ],
    };
  }),
  kind("gift", 3, (d) => {
    const [n, big, small, given] = [d.factor(), d.factor(), d.factor(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    const [r, b] = [big * n, small * n];
    return {
      question:
        `${who.name} has ${n} ${d.container} with ${big} big and ${small} small ${x} each. ${who.He} gives ` +
        `${given} ${x} to ${other.name}. How many ${x} does ${who.he} have left?`,
      chains: [
        [step(big, "+", small, x), step(big + small, "*", n, x), step(r + b, "-", given, x)],
        [step(big, "*", n, x), step(small, "*", n, x), step(r, "+", b, x), step(r + b, "-", given, x)],
      ],
    };
  }),
  kind("job", 3, (d) => {
    const [hours, n, wage, spent] = [d.factor(), d.factor(), d.factor(), d.amount()];
    const [who] = d.people;
    const earned = hours * n * wage;
    return {
      question:
        `${who.name} works ${hours} hours a day for ${n} days and earns ${wage} dollars an hour. ${who.He} ` +
        `spends ${spent} dollars. How many dollars are left?`,
      chains: [
        [
          step(hours, "*", n, "hours"),
          step(hours * n, "*", wage, "dollars"),
          step(earned, "-", spent, "dollars"),
        ],
        [
          step(hours, "*", wage, "dollars"),
          step(hours * wage, "*", n, "dollars"),
          step(earned, "-", spent, "dollars"),
        ],
      ],
    };
  }),
  kind("stock", 3, (d) => {
    const [had, made, sold, n] = [d.amount(), d.amount(), d.amount(), d.factor()];
    const [x] = d.things;
    const [m, s] = [made * n, sold * n];
    return {
      question: `A shop has ${had} ${x}. Each day it gets ${made} ${x} and sells ${sold}. ` +
        `How many ${x} does it have after ${n} days?`,
      chains: [
        [step(made, "-", sold, x), step(made - sold, "*", n, x), step(had, "+", m - s, x)],
        [step(made, "*", n, x), step(sold, "*", n, x), step(had, "+", m, x), step(had + m, "-", s, x)],
        [step(made, "*", n, x), step(sold, "*", n, x), step(m, "-", s, x), step(had, "+", m - s, x)],
      ],
    };
  }),
  kind("baking", 3, (d) => {
    const [trays, each, eaten, price] = [d.factor(), d.factor(), d.amount(), d.factor()];
    const [who] = d.people;
    const x = d.random.pick(baked);
    const all = trays * each;
    return {
      question:
        `${who.name} bakes ${trays} trays of ${each} ${x}. ${who.He} keeps ${eaten} and sells the rest for ` +
        `${price} dollars each. How many dollars does ${who.he} get?`,
      chains: [
        [step(trays, "*", each, x), step(all, "-", eaten, x), step(all - eaten, "*", price, "dollars")],
        [
          ...[step(trays, "*", each, x), step(all, "*", price, "dollars")],
          ...[step(eaten, "*", price, "dollars"), step(all * price, "-", eaten * price, "dollars")],
        ],
      ],
    };
  }),
  kind("losing", 3, (d) => {
    const [a, fewer, lost] = [d.amount(), d.amount(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    return {
      question: `${who.name} has ${a} ${x} and ${other.name} has ${fewer} fewer. They lose ${lost} ${x}. ` +
        `How many ${x} do they have left together?`,
      chains: [
        [step(a, "-", fewer, x), step(a, "+", a - fewer, x), step(2 * a - fewer, "-", lost, x)],
        [step(2, "*", a, x), step(2 * a, "-", fewer, x), step(2 * a - fewer, "-", lost, x)],
        [step(fewer, "+", lost, x), step(2, "*", a, x), step(2 * a, "-", fewer + lost, x)],
      ],
    };
  }),
  kind("bus", 3, (d) => {
    const [start, off, on, last] = [d.total(), d.amount(), d.amount(), d.amount()];
    return {
      question:
        `A bus carries ${start} people. At the first stop ${off} get off and ${on} get on. At the next stop ` +
        `${last} get off. How many people are on the bus now?`,
      chains: [
        [
          step(start, "-", off, "people"),
          step(start - off, "+", on, "people"),
          step(start - off + on, "-", last, "people"),
        ],
        [
          step(off, "+", last, "people"),
          step(start, "+", on, "people"),
          step(start + on, "-", off + last, "people"),
        ],
        [
          step(off, "+", last, "people"),
          step(start, "-", off + last, "people"),
          step(start - off - last, "+", on, "people"),
        ],
      ],
    };
  }),
  kind("packing", 3, (d) => {
    const [size, a, b, eaten] = [d.factor(), d.amount(), d.amount(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    const left = step(a + b - eaten, "/", size, d.container);
    return {
      question:
        `${who.name} has ${a} ${x} and ${other.name} has ${b}. They keep ${eaten} and put the rest into ` +
        `${d.container} of ${size}. How many ${d.container} do they fill?`,
      chains: [
        [step(a, "+", b, x), step(a + b, "-", eaten, x), left],
        [step(a, "-", eaten, x), step(a - eaten, "+", b, x), left],
        [step(b, "-", eaten, x), step(a, "+", b - eaten, x), left],
      ],
    };
  }),
];

/** Kinds whose plainest chain has four equations. */
export const longestStories: readonly Kind[] = [
  kind("shopping", 4, (d) => {
    const [had, n, m, p, q] = [d.total(), d.factor(), d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    const [x, y] = d.things;
    return {
      question:
        `${who.name} has ${had} dollars. ${who.He} buys ${n} ${x} for ${p} dollars each and ${m} ${y} for ` +
        `${q} dollars each. How many dollars are left?`,
      chains: twoProductsFrom(had, n, p, m, q, "dollars"),
    };
  }),
  kind("show", 4, (d) => {
    const [had, n, m, p, q] = [d.total(), d.factor(), d.factor(), d.factor(), d.factor()];
    return {
      question:
        `A show costs ${p} dollars for an adult and ${q} dollars for a child. A club of ${n} adults and ${m} ` +
        `children pays with ${had} dollars. How many dollars does it get back?`,
      chains: twoProductsFrom(had, n, p, m, q, "dollars"),
    };
  }),
  kind("goal", 4, (d) => {
    const [goal, n, m, p, q] = [d.total(), d.factor(), d.factor(), d.factor(), d.factor()];
    const [who] = d.people;
    return {
      question:
        `${who.name} wants to run ${goal} miles. ${who.He} runs ${p} miles a day for ${n} days, then ${q} ` +
        `miles a day for ${m} days. How many miles are left?`,
      chains: twoProductsFrom(goal, n, p, m, q, "miles"),
    };
  }),
  kind("pooling", 4, (d) => {
    const [n, p, m, q, given] = [d.factor(), d.factor(), d.factor(), d.factor(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    const [a, b] = [n * p, m * q];
    const [first, second] = [step(n, "*", p, x), step(m, "*", q, x)];
    return {
      question:
        `${who.name} has ${n} ${d.container} of ${p} ${x} and ${other.name} has ${m} ${d.container} of ${q}. ` +
        `They sell ${given} ${x}. How many ${x} are left?`,
      chains: [
        [first, second, step(a, "+", b, x), step(a + b, "-", given, x)],
        [first, step(a, "-", given, x), second, step(a - given, "+", b, x)],
        [second, step(b, "-", given, x), first, step(b - given, "+", a, x)],
      ],
    };
  }),
  kind("selling", 4, (d) => {
    const [n, p, m, q, sold] = [d.factor(), d.factor(), d.factor(), d.factor(), d.amount()];
    const [who, other] = d.people;
    const [x] = d.things;
    const [a, b] = [n * p, m * q];
    const [first, second] = [step(n, "*", p, x), step(m, "*", q, x)];
    return {
      question:
        `${who.name} has ${n} ${d.container} of ${p} ${x} and sells ${sold} ${x}. ${other.name} has ${m} ` +
        `${d.container} of ${q} ${x}. How many more ${x} does ${who.name} have now?`,
      chains: [
        [first, step(a, "-", sold, x), second, step(a - sold, "-", b, x)],
        [first, second, step(a, "-", b, x), step(a - b, "-", sold, x)],
        [first, second, step(sold, "+", b, x), step(a, "-", sold + b, x)],
      ],
    };
  }),
];

function kind(name: string, steps: number, tell: Kind["tell"]): Kind {
  return { name, steps, tell };
}

/** total − (n·p + m·q), by the sum or one after the other. */
function twoProductsFrom(
  ...[total, n, p, m, q, unit]: [number, number, number, number, number, string]
): ReturnType<Kind["tell"]>["chains"] {
  const [first, second] = [step(n, "*", p, unit), step(m, "*", q, unit)];
  const [a, b] = [first.value, second.value];
  return [
    [first, second, step(a, "+", b, unit), step(total, "-", a + b, unit)],
    [first, step(total, "-", a, unit), second, step(total - a, "-", b, unit)],
    [second, step(total, "-", b, unit), first, step(total - b, "-", a, unit)],
  ];
}
