import * as Schema from "effect/Schema"

/**
 * A request to an engine failed, or its answer cannot be used.
 *
 * - `Unreachable`: there is no connection, or no answer in time.
 * - `Refused`: the answer is an error. `status` is its HTTP status.
 * - `TooLarge`: the answer is longer than des reads.
 * - `NotAnEngine`: something else answers at the endpoint.
 * - `Broken`: the connection was lost in the middle of an answer.
 * - `Ended`: the engine ended the feed, as it does when it stops.
 * - `Silent`: the feed is open but does not bring the events that happen.
 *
 * @since 1.0.0
 * @category errors
 */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  reason: Schema.Literal("Unreachable", "Refused", "TooLarge", "NotAnEngine", "Broken", "Ended", "Silent"),
  endpoint: Schema.String,
  detail: Schema.String,
  status: Schema.optional(Schema.Number),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreachable":
        return `no engine can be reached at ${this.endpoint}: ${this.detail}`
      case "Refused":
        return `the engine at ${this.endpoint} refused: ${this.detail}`
      case "TooLarge":
        return `the engine at ${this.endpoint} sends too long an answer: ${this.detail}`
      case "NotAnEngine":
        return `what answers at ${this.endpoint} is not an engine: ${this.detail}`
      case "Broken":
        return `the feed of ${this.endpoint} broke off: ${this.detail}`
      case "Ended":
        return `the engine at ${this.endpoint} ended the feed`
      case "Silent":
        return `the feed of ${this.endpoint} has stalled: ${this.detail}`
    }
  }
}
