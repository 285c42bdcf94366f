import { answerRequests } from "../../lib/runtime/worker_requests.ts";

answerRequests((request: string) => {
  while (request === "spin");
  return request;
});
