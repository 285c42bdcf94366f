/** Leaves a promise that nobody handles, and answers later, or never. */
import { answerRequests } from "../../lib/runtime/worker_requests.ts";

answerRequests(async (answers: boolean) => {
  void Promise.reject(new Error("a column is damaged"));
  await new Promise((resolve) => answers ? setTimeout(resolve, 300) : undefined);
  return "answered";
});
