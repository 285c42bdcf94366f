/** One message of a conversation, before the question. */
export interface Turn {
  /** Who speaks: they take turns, the user first. */
  readonly role: "user" | "assistant";
  /** What is said. */
  readonly content: string;
  /** False for an answer that is not to be trained on. */
  readonly trained?: boolean;
}
