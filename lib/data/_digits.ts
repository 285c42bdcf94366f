/** Digits of every script as 0–9, and full-width signs as ASCII ones. */

/** What stands for a sign of the grammar elsewhere: the Arabic separators and percent, ideographic blank. */
const SIGNS: Readonly<Record<string, string>> = { "٫": ".", "٬": ",", "٪": "%", "\u3000": " ", "﹣": "-" };

const DIGIT = /^\p{Nd}$/u;

/**
 * The text with every decimal digit (Unicode's Nd) as its ASCII digit, and full-width forms as what they are forms of:
 * `７２` → `72`, `٧٢` → `72`, `－１．５` → `-1.5`. All other characters stay.
 */
export function foldDigits(text: string): string {
  // Most texts have nothing to fold: one look is cheaper than a replacement.
  if (!/[\u0300-\uffff]/.test(text)) return text;
  return text.replace(/\p{Nd}|[\uff01-\uff5e\u3000٫٬٪﹣]/gu, (char) => {
    const code = char.codePointAt(0)!;
    if (code < 0x80) return char;
    if (DIGIT.test(char)) return String(digitOf(code));
    return SIGNS[char] ?? String.fromCharCode(code - 0xfee0);
  });
}

/** Scripts have their digits in runs of ten, some one behind the other (mathematical bold, double-struck, …). */
function digitOf(code: number): number {
  let first = code;
  while (DIGIT.test(String.fromCodePoint(first - 1))) first--;
  return (code - first) % 10;
}
