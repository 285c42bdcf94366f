/** Problems and groups for trainings of a few seconds. */

import type { Group, Problem } from "../lib/data/records.ts";

/** Problems `a + b` with references, for trainings of a few seconds. */
export function toyProblems(
  count: number,
): (Problem & { readonly reference: string; readonly answer: string })[] {
  return Array.from({ length: count }, (_, i) => {
    const a = 1 + i % 5, b = 1 + i % 3, sum = String(a + b);
    return {
      id: `toy-${i}`,
      question: `${a}+${b}?`,
      prompt: `${a}+${b}=`,
      reference: `${a} + ${b} = ${sum}\n#### ${sum}`,
      answer: sum,
    };
  });
}

/** The same problems with right and wrong candidates; the wrong ones differ in their answer alone. */
export function toyGroups(count: number): Group[] {
  return toyProblems(count).map((problem): Group => {
    const right = Number(problem.answer), [a, b] = problem.question.slice(0, -1).split("+");
    const candidate = (answer: number, text: string) => ({
      text,
      finish: "stop" as const,
      answer: String(answer),
      correct: answer === right,
    });
    return {
      ...problem,
      candidates: [
        candidate(right, `so #### ${right}`),
        candidate(right + 1, `so #### ${right + 1}`),
        candidate(right + 2, `${a} + ${b} = ${right + 2}\n#### ${right + 2}`),
      ],
    };
  });
}
