import assert from "node:assert/strict";
import { test } from "node:test";
import { foldDigits } from "../../lib/data/_digits.ts";
import { listNumbers, numbersEqual, parseNumber } from "../../lib/data/numbers.ts";

/** What is written, and what it is worth; null is no number, or more than one. */
const CASES: readonly (readonly [string, string | null])[] = [
  // integers and decimals
  ["7", "7"],
  ["007", "7"],
  ["0", "0"],
  ["-0.0", "0"],
  ["18.0", "18"],
  ["18.", "18"],
  [" 18 ", "18"],
  ["0.50", "0.5"],
  [".75", "0.75"],
  ["-.5", "-0.5"],
  ["+5", "5"],
  ["9007199254740993", "9007199254740993"],
  ["123456789012345678901234567890.10", "123456789012345678901234567890.1"],
  // degrees are a unit, no power; another base is no decimal
  ["90^\\circ", "90"],
  ["90^{\\circ}", "90"],
  ["20^\\circ C", "20"],
  ["90\\degree", "90"],
  ["5^\\circle", null],
  ["0b11", null],
  ["0x1F", null],
  ["0o17", null],
  // thousands
  ["1,234", "1234"],
  ["1,234.50", "1234.5"],
  ["1,000,001", "1000001"],
  ["25,000,000.00", "25000000"],
  ["1 234", "1234"],
  ["1 000 000", "1000000"],
  ["1\u202f234", "1234"],
  ["1\u2009234\u2009567", "1234567"],
  ["1\u00a0234,5", null],
  ["1'234", "1234"],
  ["1’234’567.5", "1234567.5"],
  ["1_000_000", "1000000"],
  ["1{,}234", "1234"],
  ["1\\,234\\,567", "1234567"],
  ["1,\\!234", "1234"],
  ["1,00,000", "100000"],
  ["12,50,000", "1250000"],
  ["1,23,45,678", "12345678"],
  ["12,34", null],
  ["1,2,3", null],
  ["3,5", null],
  ["1,2345", null],
  ["1000,000", null],
  ["1.234,56", null],
  ["1.234.567", null],
  ["2 3", null],
  ["12 34", null],
  // signs
  ["-3", "-3"],
  ["−3", "-3"],
  ["–3", "-3"],
  ["—3", "-3"],
  ["- 3", "-3"],
  ["−  3", "-3"],
  ["-1,234.5", "-1234.5"],
  ["7-3", null],
  ["7 - 3", null],
  // currencies
  ["$5.50", "5.5"],
  ["-$5.50", "-5.5"],
  ["$-5.50", "-5.5"],
  ["- $5", "-5"],
  ["$ 18", "18"],
  ["\\$18", "18"],
  ["£1,000", "1000"],
  ["€ 3", "3"],
  ["₹1,00,000", "100000"],
  ["18€", "18"],
  ["18 USD", "18"],
  ["USD 18", "18"],
  ["US$18", "18"],
  ["Rs. 500", "500"],
  ["Rs500", "500"],
  ["18 dollars", "18"],
  ["18 cents.", "18"],
  // percent is a unit
  ["50%", "50"],
  ["50 %", "50"],
  ["50\\%", "50"],
  ["12.5 percent", "12.5"],
  ["0.5", "0.5"],
  // units
  ["12 dollars", "12"],
  ["1,200 km", "1200"],
  ["24 m^2", "24"],
  ["24 m^{2}", "24"],
  ["24 m2", "24"],
  ["24 m²", "24"],
  ["24m", "24"],
  ["24 square metres", "24"],
  ["24 sq. ft.", "24"],
  ["5 km/h", "5"],
  ["60 miles per hour", "60"],
  ["9.8 m/s^2", "9.8"],
  ["100 °C", "100"],
  ["90°", "90"],
  ["3 o'clock", "3"],
  ["7 个", "7"],
  ["5 small red apples", "5"],
  ["5 apples that fell from the old tree", null],
  ["12 May", null],
  ["12 dollars and 50 cents", null],
  ["5 feet 3 inches", null],
  ["2 hours 30 minutes", null],
  // exponents, powers, scales
  ["2e3", "2000"],
  ["2E+3", "2000"],
  ["1.5e-3", "0.0015"],
  ["1e3", "1000"],
  ["2 x 10^3", "2000"],
  ["2 × 10^3", "2000"],
  ["2×10³", "2000"],
  ["2 × 10⁻³", "0.002"],
  ["2 \\times 10^{3}", "2000"],
  ["2 \\cdot 10^3", "2000"],
  ["2*10**3", "2000"],
  ["2.5 x 10^{-2}", "0.025"],
  ["10^6", "1000000"],
  ["10⁶", "1000000"],
  ["2^10", "1024"],
  ["5²", "25"],
  ["1e99999", null],
  ["9^9999", null],
  ["2 million", "2000000"],
  ["2.5 million people", "2500000"],
  ["$3 billion", "3000000000"],
  ["3 thousand", "3000"],
  ["2½ million", "2500000"],
  ["1/2 million", "1/2"],
  ["5k", "5000"],
  ["$5K", "5000"],
  ["$2M", "2000000"],
  ["$1.5bn", "1500000000"],
  ["2 m", "2"],
  ["2 kg", "2"],
  ["3 lakh", "300000"],
  // fractions and mixed numbers
  ["3/4", "3/4"],
  ["3 / 4", "3/4"],
  ["3⁄4", "3/4"],
  ["-3/4", "-3/4"],
  ["- 3/4", "-3/4"],
  ["6/3", "2"],
  ["1/0", null],
  ["11/2", "11/2"],
  ["1.5/2", "1.5/2"],
  ["½", "1/2"],
  ["-½", "-1/2"],
  ["2⅔", "8/3"],
  ["2 ⅔", "8/3"],
  ["2 2/3", "8/3"],
  ["-2 2/3", "-8/3"],
  ["2 and 2/3", "8/3"],
  ["1 1/2", "1.5"],
  ["1 1/2 cups", "1.5"],
  ["4\u00a01/4", "4.25"],
  ["2 5/3", null],
  ["\\frac{3}{4}", "3/4"],
  ["\\dfrac{3}{4}", "3/4"],
  ["\\tfrac34", "3/4"],
  ["-\\frac{1}{2}", "-1/2"],
  ["\\frac{-1}{2}", "-1/2"],
  ["\\frac{1,000}{3}", "1000/3"],
  ["2\\frac{2}{3}", "8/3"],
  ["2 \\frac{1}{2}", "2.5"],
  ["\\frac{\\frac{1}{2}}{3}", null],
  ["\\frac{x}{3}", null],
  ["\\frac{1}{2", null],
  // other scripts
  ["７２", "72"],
  ["－７．５", "-7.5"],
  ["１，２３４", "1234"],
  ["٧٢", "72"],
  ["٧٫٥", "7.5"],
  ["१२", "12"],
  ["๗๒", "72"],
  ["𝟕𝟐", "72"],
  // mathematics around it
  ["$18$", "18"],
  ["$-18$", "-18"],
  ["x = 18", "18"],
  ["≈ 18", "18"],
  // none, or several
  ["", null],
  ["none", null],
  ["-", null],
  ["$", null],
  [".", null],
  ["3:30", null],
  ["2:3", null],
  ["1.2.3", null],
  ["3/4/2020", null],
  ["5-7", null],
  ["5–7", null],
  ["5 to 7", null],
  ["5 or 7", null],
  ["5, 7", null],
  ["(3, 4)", null],
  ["2x", null],
  ["2\\pi", null],
  ["2π", null],
  ["3\\sqrt{2}", null],
  ["2√3", null],
  ["3 + 4", null],
  ["3 * 4", null],
  ["CO2", null],
  ["A4", null],
  ["x_1", null],
  ["18 (3 rows of 6)", null],
];

test("what is a number, and what it is worth", () => {
  for (const [text, expected] of CASES) assert.equal(parseNumber(text), expected, JSON.stringify(text));
  // A number in its own form is the same number again.
  for (const [, value] of CASES) if (value !== null) assert.equal(parseNumber(value), value);
});

test("the numbers of a running text", () => {
  const values = (text: string) => listNumbers(text).map(({ value }) => value);
  assert.deepEqual(values("7-3, 5 - 3, to -3, = - 3, a-3"), ["7", "3", "5", "3", "-3", "-3", "3"]);
  assert.deepEqual(values("- 5 apples\n- 6 pears"), ["5", "6"]); // bullets
  assert.deepEqual(values("7 g of CO2 on 24 m^2, 3 m2 and x_{1}"), ["7", "24", "3"]);
  assert.deepEqual(values("at 3:30 he had 2,3 or 4,567 of 1.2.3"), [null, null, "4567", null]);
  assert.deepEqual(values("答案是72个"), ["72"]);
  assert.deepEqual(values("it costs $1,200.50!"), ["1200.5"]);
  assert.deepEqual(values("pages 5–7"), ["5", "7"]);
  assert.deepEqual(values("v.5 and no.7"), ["5", "7"]);
});

test("integers are equal exactly, other numbers within 1e-4", () => {
  const equal = (a: string, b: string) => numbersEqual(a, b, 1e-4) && numbersEqual(b, a, 1e-4);
  for (
    const [a, b] of [["18", "18"], ["3/4", "0.75"], ["0.3333", "1/3"], ["2.5", "2.5001"], ["2", "2.0001"]]
  ) {
    assert.ok(equal(a!, b!), `${a} ${b}`);
  }
  const different = [
    ["1000000", "1000001"],
    ["9007199254740993", "9007199254740992"],
    ["0.333", "1/3"],
    ["0", "0.00001"],
    ["2.5", "-2.5"],
    ["2", "2.001"],
  ];
  for (const [a, b] of different) assert.ok(!equal(a!, b!), `${a} ${b}`);
});

test("every decimal digit of Unicode is its value", () => {
  let seen = 0;
  for (let code = 0; code < 0x110000; code++) {
    if (code >= 0xd800 && code < 0xe000 || !/^\p{Nd}$/u.test(String.fromCodePoint(code))) continue;
    seen++;
    assert.match(foldDigits(String.fromCodePoint(code)), /^\d$/);
  }
  assert.ok(seen >= 650 && seen % 10 === 0, `${seen}`);
  assert.equal(foldDigits("𝟗𝟘𝟡𝟢"), "9090"); // blocks of ten one behind the other
});
