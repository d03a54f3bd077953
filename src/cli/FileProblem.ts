import * as Data from "effect/Data"

/** A file that cannot be read or written: names the file, and why. */
export class FileProblem extends Data.TaggedError("FileProblem")<{ readonly message: string }> {}
