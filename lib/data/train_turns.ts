/** The assistant's turns of a conversation, each as a problem of its own. */

import type { Problem } from "./records.ts";
import type { Turn } from "./turn.ts";

/** Which of the assistant's turns are trained on: all of a conversation, or the last alone. */
export type TrainTurns = "all" | "last";

/**
 * A conversation as one problem for each answer of the assistant that may be trained on, the last of them itself: the
 * answer is the reference, all before it the prompt. So each turn is trained behind exactly what the model is given when
 * it is asked for it, whatever a template does with older turns (Qwen3's drops their thoughts), where one sequence with
 * the other turns masked would train it behind something else. It costs the history once for each turn.
 *
 * Turns marked `trained: false` are left out. Of a record without earlier answers nothing changes. Ids of earlier turns
 * are `ID (answer 1)`, `ID (answer 2)`, …
 */
export function turnsOf(problem: Problem): Problem[] {
  const { earlier = [], between = [] } = problem;
  const turns: Turn[] = [...earlier, { role: "user", content: problem.question }, ...between];
  const { reference: _, reference_tool_calls: __, between: ___, earlier: ____, ...rest } = problem;
  const { answer: _____, choices: ______, prompt: _______, candidates: ________, ...shared } = rest;
  let count = 0;
  const answers = turns.flatMap((turn, at): Problem[] => {
    if (turn.role !== "assistant" || turn.trained === false) return [];
    const asked = turns.findLastIndex(({ role }, i) => i < at && role === "user");
    if (asked < 0) return [];
    const before = turns.slice(0, asked), since = turns.slice(asked + 1, at);
    // A question with choices or an exact prompt is the last one's own.
    const own = asked === earlier.length ? rest : shared;
    return [{
      ...own,
      id: `${problem.id} (answer ${++count})`,
      question: turns[asked]!.content,
      ...(before.length > 0 && { earlier: before }),
      ...(since.length > 0 && { between: since }),
      reference: turn.content,
      ...(turn.tool_calls && { reference_tool_calls: turn.tool_calls }),
    }];
  });
  return [...answers, problem];
}
