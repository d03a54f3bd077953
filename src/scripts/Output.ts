import { StringDecoder } from "node:string_decoder"

/** Bounds of what is logged of a run's output: of one line, and of all, in bytes. */
export interface OutputLimits {
  readonly line: number
  readonly run: number
}

export const defaultLimits: OutputLimits = { line: 8192, run: 1_048_576 }

/** What both streams of one run may still log, and how many bytes were not logged. */
export interface Budget {
  left: number
  dropped: number
}

/** A line in the log is longer than what the script wrote: a million empty lines are no small output. */
const lineHead = 64

/**
 * Turns the chunks of one output stream into lines, in memory that does not grow with the output: a line is cut at the
 * limit, and when the run's budget is spent the rest is counted and let go.
 */
export const makeLines = (
  budget: Budget,
  limits: OutputLimits = defaultLimits
): { readonly push: (chunk: Uint8Array) => Array<string>; readonly end: () => Array<string> } => {
  const decoder = new StringDecoder("utf8")
  let line = ""
  // What the current line has beyond the limit, in UTF-16 units.
  let beyond = 0

  const append = (text: string): void => {
    const fits = text.slice(0, limits.line - line.length)
    line += fits
    beyond += text.length - fits.length
  }

  /** The current line, where the budget has room for it; then the next one begins. */
  const take = (): Array<string> => {
    const text = beyond === 0 ? line : `${line}… (${beyond} more characters)`
    const bytes = Buffer.byteLength(line)
    line = ""
    budget.dropped += beyond
    beyond = 0
    if (budget.left <= 0) {
      budget.dropped += bytes + 1
      return []
    }
    budget.left -= bytes + lineHead
    return [text.endsWith("\r") ? text.slice(0, -1) : text]
  }

  return {
    push: (chunk) => {
      if (budget.left <= 0 && line === "") {
        budget.dropped += chunk.length
        return []
      }
      const [first = "", ...rest] = decoder.write(chunk).split("\n")
      append(first)
      return rest.flatMap((next) => {
        const taken = take()
        append(next)
        return taken
      })
    },
    end: () => {
      append(decoder.end())
      return line === "" ? [] : take()
    }
  }
}

/** How much of the last output is kept of a run, in characters. */
const tailLength = 4096

/** Keeps the last lines of an output, however long it is. */
export const makeTail = (): { readonly push: (line: string) => void; readonly text: () => string } => {
  let lines: Array<string> = []
  let length = 0
  return {
    push: (line) => {
      lines.push(line)
      length += line.length + 1
      // Not at each line: what is let go is let go in one piece.
      if (length > 4 * tailLength) {
        const text = lines.join("\n").slice(-tailLength)
        lines = [text]
        length = text.length + 1
      }
    },
    text: () => lines.join("\n").slice(-tailLength)
  }
}
