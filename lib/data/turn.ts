/** A function that the assistant calls, in the form in which chat templates take it. */
export interface ToolCall {
  /** What the tool's answer refers to. */
  readonly id?: string | undefined;
  /** Always a function. */
  readonly type: "function";
  /** Which, and with what. */
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
}

/** One message of a conversation besides the question and the response. */
export interface Turn {
  /** Who speaks: the user and the assistant take turns, the user first; a tool answers the assistant's calls. */
  readonly role: "user" | "assistant" | "tool";
  /** What is said. */
  readonly content: string;
  /** False for an answer that is not to be trained on. */
  readonly trained?: boolean | undefined;
  /** What the assistant calls. */
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** The call that a tool answers. */
  readonly tool_call_id?: string | undefined;
  /** The tool's name. */
  readonly name?: string | undefined;
}
