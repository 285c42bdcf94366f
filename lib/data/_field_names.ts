/** The names that fields of records have, by whoever wrote them. */

/** The shapes that are read, for a message. */
export const shapesRead =
  "{question, reference, answer}, {problem, solution}, {query, response}, {instruction, input, output}, " +
  "{prompt, completion}, {prompt, completion, label}, {prompt, chosen, rejected}, {chosen, rejected}, " +
  "{query, responses, scores}, {messages}, {conversations}, {text}";

/** Fields that mean something in one of the shapes; of these null is the same as absent. */
export const knownFields: ReadonlySet<string> = new Set([
  ...[
    "id",
    "question",
    "prompt",
    "system",
    "earlier",
    "between",
    "reference",
    "reference_tool_calls",
    "answer",
    "answer_kind",
    "prompt_template",
    "choices",
    "dataset",
    "candidates",
  ],
  ...[
    "query",
    "problem",
    "instruction",
    "input",
    "output",
    "solution",
    "response",
    "completion",
    "text",
    "label",
  ],
  ...[
    "chosen",
    "rejected",
    "responses",
    "scores",
    "messages",
    "conversations",
    "history",
    "tools",
    "answerKey",
  ],
]);

/** Fields of which a record has one at least: an object without them is none. */
export const shapeFields: ReadonlySet<string> = new Set([
  ...["question", "prompt", "query", "problem", "instruction", "input", "chosen"],
  ...["messages", "conversations", "conversation", "text", "candidates", "responses", "q_text", "body"],
]);

/** Names under which an object holds its list of records. */
export const listNames: readonly string[] = [
  "data",
  "examples",
  "train",
  "rows",
  "records",
  "instances",
  "items",
  "samples",
  "questions",
  "problems",
  "validation",
  "dev",
  "test",
];
